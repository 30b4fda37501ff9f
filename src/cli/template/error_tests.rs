//! What templates refuse, in which words, and where.

use serde_json::json;

use super::parser::MAX_DEPTH;
use super::tests::document;
use super::{Missing, Template};
use crate::error::{Error, Kind};

fn parse_error(text: &str) -> Error {
    match Template::parse(text) {
        Ok(_) => panic!("{text} parses"),
        Err(error) => error,
    }
}

fn render_error(text: &str) -> Error {
    match Template::parse(text).and_then(|template| template.render(&document())) {
        Ok(rendered) => panic!("{text} renders {rendered:?}"),
        Err(error) => error,
    }
}

#[test]
fn malformed_templates_say_where() {
    for (text, message) in [
        ("a {{.B", "template:1:3: unclosed action"),
        ("a\n é{{", "template:2:3: unclosed action"),
        ("{{/* a", "template:1:1: unclosed comment"),
        ("{{/* a */ .B}}", "template:1:10: a comment must fill its action"),
        ("{{\"a}}", "template:1:3: unclosed string"),
        ("{{\"a\nb\"}}", "template:1:3: unclosed string"),
        ("{{`a}}", "template:1:3: unclosed raw string"),
        (r#"{{"\q"}}"#, "template:1:4: unknown escape in a string"),
        (r#"{{"\xff"}}"#, "template:1:3: the string is not UTF-8"),
        ("{{'a'}}", "template:1:3: a character constant in single quotes"),
        ("{{.A % 2}}", "template:1:6: unexpected '%' in an action"),
        ("{{12ab}}", "template:1:3: bad number \"12ab\""),
        ("{{-inf}}", "template:1:3: bad number \"-inf\""),
        ("{{}}", "template:1:3: unexpected }}, expected a value"),
        ("{{if}}x{{end}}", "template:1:5: unexpected }}, expected a value"),
        ("{{.A |}}", "template:1:7: only a function can stand after |"),
        ("{{.A | .B}}", "template:1:8: only a function can stand after |"),
        ("{{.A .B}}", "template:1:6: an argument to something that is not a function"),
        ("{{\"a\"\"b\"}}", "template:1:6: unexpected \"b\", expected a space before it"),
        ("{{..A}}", "template:1:4: unexpected .A, expected a space before it"),
        ("{{(.A}}", "template:1:3: unclosed parenthesis"),
        ("{{.A)}}", "template:1:5: unexpected ), expected }}"),
        ("{{1.A}}", "template:1:3: bad number \"1.A\""),
        ("{{nil}}", "template:1:3: nil can only be an argument"),
        ("{{nil.A}}", "template:1:6: a constant has no fields"),
    ] {
        let error = parse_error(text);
        assert_eq!(error.to_string(), message, "{text}");
        assert_eq!(error.kind(), Kind::Invalid);
    }
}

#[test]
fn malformed_blocks_say_where() {
    for (text, message) in [
        ("x{{if .A}}y", "template:1:2: {{if}} has no {{end}}"),
        ("{{range .A}}{{else}}", "template:1:1: {{range}} has no {{end}}"),
        ("{{end}}", "template:1:1: unexpected {{end}}"),
        ("x{{else}}", "template:1:2: unexpected {{else}}"),
        ("{{if .A}}{{else}}{{else}}{{end}}", "template:1:18: a second {{else}}"),
        ("{{range .A}}{{else if .B}}{{end}}", "template:1:20: unexpected if, expected }}"),
        ("{{break}}", "template:1:1: {{break}} outside of a range"),
        ("{{range .A}}{{end}}{{continue}}", "template:1:20: {{continue}} outside of a range"),
        ("{{define \"x\"}}{{end}}", "template:1:1: {{define}} is not supported"),
        ("{{end .A}}", "template:1:7: unexpected .A, expected }}"),
    ] {
        assert_eq!(parse_error(text).to_string(), message, "{text}");
    }
}

#[test]
fn unknown_names_come_with_a_hint() {
    for (text, message, hint) in [
        ("{{jsn .}}", "template:1:3: function \"jsn\" is not defined", "write json"),
        (
            "{{Names}}",
            "template:1:3: function \"Names\" is not defined",
            "write .Names if a field is meant",
        ),
        (
            "{{json Names}}",
            "template:1:8: Names is not a value",
            "write .Names for a field or \"Names\" for text",
        ),
        (
            "{{print len .A}}",
            "template:1:9: len is a function, not a value",
            "put the call in parentheses: (len ...)",
        ),
        ("{{$x}}", "template:1:3: undefined variable $x", "declare it first: {{$x := .}}"),
        (
            "{{if true}}{{$x := 1}}{{end}}{{$x}}",
            "template:1:32: undefined variable $x",
            "declare it first: {{$x := .}}",
        ),
        ("{{$x = 1}}", "template:1:3: undefined variable $x", "declare it first: {{$x := .}}"),
    ] {
        let error = parse_error(text);
        assert_eq!(error.to_string(), message, "{text}");
        assert_eq!(error.hint_text(), Some(hint), "{text}");
    }
}

#[test]
fn variables_are_bound_where_they_may_be() {
    for (text, message) in [
        ("{{$ := 1}}", "template:1:3: $ is the whole value and cannot be set"),
        ("{{$a, $b := .L}}", "template:1:3: two variables are for {{range}} only"),
        ("{{range $a, $b .L}}{{end}}", "template:1:16: unexpected .L, expected :="),
        ("{{print ($a := 1)}}", "template:1:10: a variable cannot be set in parentheses"),
        ("{{:= 1}}", "template:1:3: unexpected :=, expected a variable before it"),
    ] {
        assert_eq!(parse_error(text).to_string(), message, "{text}");
    }
}

#[test]
fn arguments_are_counted_before_there_is_data() {
    for (text, message) in [
        ("{{len}}", "template:1:3: len takes 1 argument, not 0"),
        ("{{.A | len .B}}", "template:1:8: len takes 1 argument, not 2"),
        ("{{eq 1}}", "template:1:3: eq takes at least 2 arguments, not 1"),
        ("{{slice 1 2 3 4}}", "template:1:3: slice takes 1 to 3 arguments, not 4"),
    ] {
        assert_eq!(parse_error(text).to_string(), message, "{text}");
    }
}

#[test]
fn functions_refuse_what_they_cannot_take() {
    for (text, message) in [
        ("{{index .L 9}}", "template:1:3: index: index out of range: 9"),
        ("{{index (split .S \" \") 9}}", "template:1:3: index: index out of range: 9"),
        ("{{index .M 1}}", "template:1:3: index: the key of a map is a string"),
        ("{{index .L \"a\"}}", "template:1:3: index: wants a number of at least 0, not \"a\""),
        ("{{index .B 1}}", "template:1:3: index: a bool cannot be indexed"),
        ("{{len .N}}", "template:1:3: len: an int has no length"),
        ("{{upper .N}}", "template:1:3: upper: wants a string, not an int"),
        ("{{join .S \",\"}}", "template:1:3: join: wants a list first, not a string"),
        ("{{.L | join \",\"}}", "template:1:8: join: wants a string, not a list"),
        ("{{slice .S 3 2}}", "template:1:3: slice: slice bounds out of range: 3 to 2 of 17"),
        ("{{slice .U 1}}", "template:1:3: slice: slice bounds out of range: 1 to 5 of 5"),
        ("{{truncate .S -1}}", "template:1:3: truncate: wants a number of at least 0, not -1"),
        ("{{pad .S 1 1000001}}", "template:1:3: pad: wants at most 1000000 spaces, not 1000001"),
        ("{{eq .L .L}}", "template:1:3: eq: lists and maps cannot be compared"),
        ("{{lt true false}}", "template:1:3: lt: cannot compare bool with bool"),
        ("{{eq 1 \"1\"}}", "template:1:3: eq: cannot compare int with string"),
        (
            "{{range .S}}{{end}}",
            "template:1:9: range wants a list, a map or a number, not a string",
        ),
        ("{{.Label 1}}", "template:1:3: Label: not a name but an int"),
    ] {
        assert_eq!(render_error(text).to_string(), message, "{text}");
    }
}

#[test]
fn a_missing_field_names_itself_its_place_and_the_nearest() {
    for (text, message, hint) in [
        ("{{.Mi}}", "template:1:3: can't evaluate field Mi", "write .M"),
        ("a\n{{.mix.k}}", "template:2:3: can't evaluate field mix", "write .Mix"),
        ("{{.Mix.K}}", "template:1:7: can't evaluate field K of .Mix", "write .Mix.k"),
        ("{{$x := .Mix}}{{$x.kk}}", "template:1:19: can't evaluate field kk of $x", "write $x.k"),
        (
            "{{.Zebra}}",
            "template:1:3: can't evaluate field Zebra",
            "list the fields with --format '{{json .}}'",
        ),
    ] {
        let error = render_error(text);
        assert_eq!(error.to_string(), message, "{text}");
        assert_eq!(error.hint_text(), Some(hint), "{text}");
        assert_eq!(error.kind(), Kind::Invalid);
    }
    assert_eq!(
        render_error("{{.S.x}}").to_string(),
        "template:1:5: can't evaluate field x of .S: it is a string"
    );
    assert_eq!(
        render_error("{{.Nil.x}}").to_string(),
        "template:1:7: can't evaluate field x of .Nil: it is nil"
    );
}

#[test]
fn a_missing_field_may_be_no_value_but_text_has_no_fields() {
    let template = |text| Template::parse(text).expect("parses").missing(Missing::NoValue);
    assert_eq!(template("{{.Gone}}").render(&json!({})).expect("renders"), "<no value>");
    assert_eq!(template("{{.A.B}}").render(&json!({"A": null})).expect("renders"), "<no value>");
    let error = template("{{.S.x}}").render(&document()).expect_err("text");
    assert_eq!(error.to_string(), "template:1:5: can't evaluate field x of .S: it is a string");
}

#[test]
fn nesting_is_bounded() {
    let nested = |open: &str, middle: &str, close: &str, depth: usize| {
        open.repeat(depth) + middle + &close.repeat(depth)
    };
    for (open, middle, close) in [
        ("{{if .B}}", "x", "{{end}}"),
        ("{{range .L}}", "x", "{{end}}"),
        ("{{with .B}}", "x", "{{end}}"),
    ] {
        assert!(Template::parse(&nested(open, middle, close, MAX_DEPTH)).is_ok());
        for depth in [MAX_DEPTH + 1, 100_000] {
            let error = parse_error(&nested(open, middle, close, depth));
            let place = format!("template:1:{}: ", open.len() * MAX_DEPTH + 1);
            assert_eq!(error.to_string(), format!("{place}nested deeper than 100 levels"));
        }
    }
    let parentheses = |depth| format!("{{{{{}}}}}", nested("(", ".S", ")", depth));
    let deepest = Template::parse(&parentheses(MAX_DEPTH)).and_then(|t| t.render(&document()));
    assert_eq!(deepest.expect("renders"), "hello wOrld-x_y z");
    parse_error(&parentheses(100_000));
    let chain = format!("{{{{if .Z}}}}{}{{{{end}}}}", "{{else if .Z}}".repeat(100_000));
    parse_error(&chain);
    let flat = "{{if .B}}x{{end}}".repeat(10_000);
    assert!(Template::parse(&flat).is_ok());
}
