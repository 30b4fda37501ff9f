//! What templates render to. The expected texts are those of docker 28.2.2
//! (`docker context inspect --format`) over the same document, where docker has
//! that document's types.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Missing, Template};

pub(super) fn document() -> Value {
    json!({
        "S": "hello wOrld-x_y z", "H": "<a&b>", "U": "é构", "Sep": "a\u{2028}b",
        "N": 42, "Z": 0, "F": 1.5, "Big": 1e21, "Small": 0.00001,
        "B": true, "No": false, "Nil": null,
        "L": ["a", "b", "c"], "M": {"z": "1", "a": "2"},
        "Mix": {"k": [1, "x", null], "m": {"q": true}},
        "E": [], "Em": {},
    })
}

fn render(template: &str) -> String {
    let rendered = Template::parse(template)
        .and_then(|template| template.missing(Missing::NoValue).render(&document()));
    match rendered {
        Ok(text) => text,
        Err(error) => panic!("{template}: {error}"),
    }
}

fn check(facts: &[(&str, &str)]) {
    for (template, text) in facts {
        assert_eq!(render(template), *text, "{template}");
    }
}

#[test]
fn literal_text_is_itself() {
    check(&[("", ""), ("plain } text {", "plain } text {"), ("é{{.N}}\n", "é42\n")]);
}

#[test]
fn values_print_as_go_prints_them() {
    check(&[
        ("{{.S}} {{.N}} {{.B}} {{.No}}", "hello wOrld-x_y z 42 true false"),
        ("{{.L}} {{.M}} {{.E}} {{.Em}}", "[a b c] map[a:2 z:1] [] map[]"),
        ("{{.Mix}}", "map[k:[1 x <nil>] m:map[q:true]]"),
        ("{{.Nil}}|{{.gone}}|{{.gone.sub}}", "<no value>|<no value>|<no value>"),
        ("{{printf \"%v\" .Nil}}|{{print .Nil .gone}}", "<nil>|<nil> <nil>"),
        ("{{.F}} {{.Big}} {{.Small}}", "1.5 1e+21 1e-05"),
        (
            "{{0x1f}} {{1_000}} {{-3}} {{1e3}} {{true}} {{.5}} {{1.0e-7}}",
            "31 1000 -3 1000 true 0.5 1e-07",
        ),
        ("{{18446744073709551615}} {{123456789.0}}", "18446744073709551615 1.23456789e+08"),
    ]);
}

#[test]
fn the_dot_is_the_whole_value() {
    let template = Template::parse("{{.}}|{{$}}|{{json .}}").expect("parses");
    assert_eq!(
        template.render(&json!({"b": 1, "a": "x"})).expect("renders"),
        "map[a:x b:1]|map[a:x b:1]|{\"a\":\"x\",\"b\":1}"
    );
    assert_eq!(template.render(&json!("x")).expect("renders"), "x|x|\"x\"");
}

#[test]
fn strings_take_go_s_escapes() {
    check(&[
        (r#"{{"\t\x41\u00e9\101\""}}"#, "\tA\u{e9}A\""),
        (r#"{{"\U0001F433\xc3\xa9\\\a"}}"#, "\u{1F433}é\\\u{7}"),
        ("{{`a\\n`}}", "a\\n"),
        ("{{\"{{\"}}{{`}}`}}", "{{}}"),
    ]);
}

#[test]
fn trim_markers_and_comments_leave_nothing() {
    check(&[
        (r#"a {{- "b" -}} c {{/* no */}} d {{- /* no */ -}} e"#, "abc  de"),
        ("a \n\t{{- .N -}}\r\n b", "a42b"),
        ("{{/* {{.N}} }} */}}x", "x"),
        ("{{ .N }}{{.N}}", "4242"),
        ("{{\n.N\n|\nprint\n}}", "42"),
        ("{{.N -}} {{- .N}}", "4242"),
        ("{{- /**/ -}}", ""),
    ]);
}

#[test]
fn ranges_go_over_lists_maps_and_numbers() {
    check(&[
        ("{{range $k, $v := .M}}{{$k}}={{$v}};{{end}}", "a=2;z=1;"),
        ("{{range $k,$v:=.M}}{{$k}}{{end}}", "az"),
        ("{{range $i, $e := .L}}{{$i}}{{$e}}{{end}}", "0a1b2c"),
        ("{{range $e := .L}}{{$e}}{{.}}{{end}}", "aabbcc"),
        ("{{range .M}}{{.}}{{end}}", "21"),
        ("{{range .E}}x{{else}}none{{end}}|{{range .Nil}}x{{else}}nil{{end}}", "none|nil"),
        ("{{range 3}}{{.}}{{end}}|{{range -1}}x{{else}}y{{end}}", "012|y"),
        ("{{range (split \"a,b\" \",\")}}<{{.}}>{{end}}", "<a><b>"),
        ("{{range .L}}{{$.N}}{{end}}", "424242"),
        ("{{range .L}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac"),
        ("{{range .L}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"),
        ("{{range .L}}{{range $.L}}{{break}}{{end}}{{.}}{{end}}", "abc"),
    ]);
}

#[test]
fn conditions_follow_truth() {
    check(&[
        ("{{if .Z}}a{{else if .N}}b{{else}}c{{end}}", "b"),
        ("{{if .Z}}a{{else if .E}}b{{else}}c{{end}}", "c"),
        ("{{if .Em}}a{{end}}{{if .Nil}}b{{end}}{{if .gone}}c{{end}}{{if \"\"}}d{{end}}", ""),
        ("{{if 0.0}}a{{else}}b{{end}}{{if .M}}c{{end}}", "bc"),
        ("{{with .Nil}}x{{else}}y{{end}}|{{with .Mix}}{{.m.q}}{{end}}", "y|true"),
        ("{{with .Z}}x{{else with .N}}{{.}}{{end}}", "42"),
        ("{{with $x := .N}}{{$x}}{{.}}{{end}}|{{if $x := .N}}{{$x}}{{end}}", "4242|42"),
        ("{{if $x := .Z}}{{else}}{{$x}}{{end}}", "0"),
    ]);
}

#[test]
fn variables_have_the_scope_of_their_block() {
    check(&[
        ("{{$x := 1}}{{range .L}}{{$x}}{{$x = .}}{{end}}{{$x}}", "1abc"),
        ("{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
        ("{{$m := .Mix}}{{$m.m.q}}", "true"),
        ("{{$a := .N}}{{$b := $a}}{{$b}}", "42"),
        (
            "{{range $i, $e := .L}}{{range $e := $.M}}{{$i}}{{$e}}{{end}}{{$e}}{{end}}",
            "0201a1211b2221c",
        ),
    ]);
}

#[test]
fn pipelines_give_the_last_argument() {
    check(&[
        ("{{.S | json}}", "\"hello wOrld-x_y z\""),
        ("{{.L | len | printf \"%d-%d\" 7}}", "7-3"),
        ("{{(index .Mix \"k\")}} {{(index .Mix \"m\").q}}", "[1 x <nil>] true"),
        ("{{\"a\" | upper | printf \"%s%s\" (lower \"B\")}}", "bA"),
    ]);
}

#[test]
fn json_does_not_escape_html() {
    check(&[
        (
            "{{json .H}}|{{json .U}}|{{json .Nil}}|{{json .gone}}|{{json .L}}",
            r#""<a&b>"|"é构"|null|null|["a","b","c"]"#,
        ),
        ("{{json .Mix}}", r#"{"k":[1,"x",null],"m":{"q":true}}"#),
        ("{{json .Sep}}", r#""a\u2028b""#),
    ]);
}

#[test]
fn docker_s_functions_do_as_docker() {
    check(&[
        ("{{title .S}}|{{upper .S}}|{{lower \"AÉ\"}}", "Hello WOrld-X_y Z|HELLO WORLD-X_Y Z|aé"),
        ("{{truncate .S 4}}|{{truncate .S 99}}|{{truncate .U 3}}", "hell|hello wOrld-x_y z|é"),
        ("{{pad .S 1 2}}|{{pad \"\" 3 3}}|", " hello wOrld-x_y z  ||"),
        ("{{split .S \" \"}}|{{split \"ab\" \"\"}}", "[hello wOrld-x_y z]|[a b]"),
        (
            "{{join (split .S \" \") \"-\"}}|{{join .L \", \"}}|{{join .Nil \",\"}}",
            "hello-wOrld-x_y-z|a, b, c|",
        ),
    ]);
}

#[test]
fn go_s_functions_do_as_go() {
    check(&[
        ("{{index .L 1}}|{{index .M \"z\"}}|{{index .Mix \"k\" 1}}|{{index .S 0}}", "b|1|x|104"),
        ("{{len .L}} {{len .S}} {{len .M}} {{len .U}} {{len .Nil}}", "3 17 2 5 0"),
        ("{{slice .S 0 4}}|{{slice .S 3}}|{{slice .L 1}}", "hell|lo wOrld-x_y z|[b c]"),
        (
            "{{print 1 2 \"a\" 3 \"b\" \"c\" true false}}|{{println \"a\" 1}}|{{print}}|{{println}}",
            "1 2a3bctrue false|a 1\n||\n",
        ),
        (
            "{{eq .S \"a\"}} {{eq \"a\" \"b\" \"a\"}} {{ne 1 2}} {{eq .Nil nil}} {{eq .N 42.0}}",
            "false true true true true",
        ),
        (
            "{{lt 1 2}} {{le 2 2}} {{gt \"b\" \"a\"}} {{ge 1 2}} {{lt 1 1.5}}",
            "true true true false true",
        ),
        ("{{not 0}} {{and 1 0 2}} {{or 0 \"\" \"x\"}} {{and 1 2}} {{or 0 \"\"}}", "true 0 x 2 "),
        ("{{or true (index .L 9)}} {{and false (index .L 9)}}", "true false"),
    ]);
}

#[test]
fn an_absent_label_is_empty() {
    check(&[
        ("{{index .M \"gone\"}}|{{index .Em \"x\"}}|{{index .Nil \"x\"}}", "||"),
        ("{{index .Mix \"gone\"}}", "<no value>"),
    ]);
    let label = Template::parse(r#"{{.Label "a.b"}}|{{.Label "no"}}"#).expect("parses");
    for labels in [json!({"a.b": "1"}), json!("x=0,a.b=1,c=2")] {
        assert_eq!(label.render(&json!({"Labels": labels})).expect("renders"), "1|");
    }
    assert_eq!(label.render(&json!({"Labels": ""})).expect("renders"), "|");
    let field = Template::parse("{{.Label}}").expect("parses");
    assert_eq!(field.render(&json!({"Label": 1})).expect("a field like any other"), "1");
}

#[test]
fn printf_is_go_s() {
    check(&[
        (
            r#"{{printf "%s|%5s|%-5s|%q|%v|%.2s" "ab" "ab" "ab" "ab" "ab" "abc"}}"#,
            r#"ab|   ab|ab   |"ab"|ab|ab"#,
        ),
        (
            r#"{{printf "%d|%5d|%-5d|%05d|%x|%X|%o|%b|%c|%+d" 42 42 42 -42 255 255 8 5 65 7}}"#,
            "42|   42|42   |-0042|ff|FF|10|101|A|+7",
        ),
        (
            r#"{{printf "%.2f|%8.3f|%e|%g|%08.2f|%.3g" 1.5 1.5 1.5 1.5 -1.5 1234.5678}}"#,
            "1.50|   1.500|1.500000e+00|1.5|-0001.50|1.23e+03",
        ),
        (
            r#"{{printf "%q" .L}}|{{printf "%s" .L}}|{{printf "%v %v" .Mix nil}}"#,
            r#"["a" "b" "c"]|[a b c]|map[k:[1 x <nil>] m:map[q:true]] <nil>"#,
        ),
        (
            r#"{{printf "%5t|%t" true false}}|{{printf "%*d|%-*d|" 5 42 4 7}}"#,
            " true|false|   42|7   |",
        ),
        (
            r#"{{printf "%6.2f%%" 12.345}}|{{printf "%6q|%x|% d|%#x" "a" "hi" 5 255}}"#,
            " 12.35%|   \"a\"|6869| 5|0xff",
        ),
        (r#"{{printf "%q" "a\"\\\n\x01é"}}"#, r#""a\"\\\n\x01é""#),
    ]);
}

#[test]
fn printf_pads_signs_and_cuts_as_go() {
    check(&[
        (r#"{{printf "%08s|%05q|%+012v" "ab" "x" nil}}"#, r#"000000ab|00"x"|0000000<nil>"#),
        (
            r#"{{printf "%+5d|%+v|% v|%06d|%.3d|%6.3d" 7 7 7 -7 7 7}}"#,
            "   +7|7| 7|-00007|007|   007",
        ),
        (r#"{{printf "%+08.2f|%.0v|%8.5v" 1.5 2.5e10 1234567.5}}"#, "+0001.50|2e+10|1.2346e+06"),
        (r#"{{printf "% x|%# x|%.1x|%X" "hi" "hi" "hi" "é"}}"#, "68 69|0x68 0x69|68|C3A9"),
        (r#"{{printf "%q|%q|%c|%c" 97 1 -7 233}}"#, "'a'|'\\x01'|\u{fffd}|é"),
        (r#"{{printf "%3v" .Mix}}"#, "map[  k:[  1   x <nil>]   m:map[  q:true]]"),
        (r#"{{printf "%1000001d|" 1}}"#, "1|"),
        (r#"{{printf "%0100000d" 1 | len}}|{{printf "%.70000d" 1 | len}}"#, "100000|70000"),
        (r#"{{printf "%0100000.1f" 1.5 | len}}"#, "100000"),
    ]);
}

#[test]
fn printf_shows_what_does_not_fit() {
    check(&[
        (r#"{{printf "%d %s" "x" 3}}|{{printf "%d"}}"#, "%!d(string=x) %!s(int=3)|%!d(MISSING)"),
        (r#"{{printf "a" 1 "b"}}|{{printf "%z" 1}}"#, "a%!(EXTRA int=1, string=b)|%!z(int=1)"),
        (r#"{{printf "%"}}|{{printf "%!"}}"#, "%!(NOVERB)|%!!(MISSING)"),
        (
            r#"{{printf "%s" nil}}|{{printf "%d" nil}}|{{printf "%s" true}}|{{printf "%d" 1.5}}"#,
            "%!s(<nil>)|%!d(<nil>)|%!s(bool=true)|%!d(float64=1.5)",
        ),
    ]);
}

proptest! {
    #[test]
    fn any_text_parses_or_errs(text in any::<String>()) {
        Template::parse(&text).ok();
    }

    #[test]
    fn any_words_parse_or_err_and_render(words in prop::collection::vec(word(), 0..24)) {
        let text: String = words.concat();
        if let Ok(template) = Template::parse(&text) {
            template.render(&document()).ok();
            template.render_header(&document());
        }
    }

    #[test]
    fn any_format_of_printf_renders(format in "[%a-z0-9*.+# é-]{0,12}") {
        let template = Template::parse("{{printf .f .s .n .l}}").expect("parses");
        let data = json!({"f": format, "s": "é", "n": -7, "l": [1.5, null]});
        prop_assert!(template.render(&data).is_ok());
    }
}

/// Pieces of which templates are made, so that many of them parse.
fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "{{if .N}}",
        "{{else}}",
        "{{end}}",
        "{{range .L}}",
        "{{with .Mix}}",
        "{{else if .Z}}",
        "{{break}}",
        "{{.}}",
        "{{.S}}",
        "{{$}}",
        "$x",
        ":=",
        "=",
        ",",
        "|",
        "(",
        ")",
        " ",
        "\n",
        ".",
        ".L",
        ".Mix.k",
        "index",
        "slice",
        "printf",
        "\"%v\"",
        "json",
        "len",
        "join",
        "\"é\"",
        "`",
        "\"",
        "\\",
        "0",
        "-1",
        "1.5",
        "nil",
        "true",
        "/*",
        "*/",
        "é",
        "'",
        "{{$x := .S}}",
        "{{slice .U 1}}",
        "{{truncate .U 1}}",
        "{{pad .S 1 99999999}}",
        "{{.Label \"a\"}}",
    ])
}
