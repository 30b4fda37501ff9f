//! Docker's conventions around a template: what the value of `--format` means
//! for a list (`docker ps`) and for `inspect`. Columns and headers are the
//! caller's.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value};

use super::{Template, text};
use crate::cli::output::{Table, align};
use crate::error::{Error, Result};

/// The columns of a list.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// The fields of the table when no template is given, in order.
    pub fields: &'a [&'a str],
    /// The header of a field, for any field a user may name. One without a
    /// header is headed by its own name in upper case.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Columns<'_> {
    fn header(&self, field: &str) -> String {
        let known = self.headers.iter().find(|(name, _)| *name == field);
        known.map_or_else(|| field.to_uppercase(), |(_, header)| (*header).to_owned())
    }
}

/// The `--format` of a list.
#[derive(Clone, Debug)]
pub enum Format {
    /// `table`: the columns of the caller.
    DefaultTable,
    /// `table TEMPLATE`: the user's columns, with their headers.
    Table(Template),
    /// `json`: an object a line.
    Json,
    /// A template, rendered once a row.
    Template(Template),
}

impl Format {
    /// Parses the value of the flag. As docker does for lists, `\t` and `\n`
    /// in it stand for a tab and a newline, a table begins with `table`
    /// whatever follows, and an empty value is one that is not given.
    pub fn parse(flag: &str) -> Result<Self> {
        if flag == "json" {
            return Ok(Self::Json);
        }
        let (table, text) = match flag.strip_prefix("table") {
            Some(rest) => (true, rest),
            None => (false, flag),
        };
        let text = text.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        match (table, text.is_empty()) {
            (_, true) => Ok(Self::DefaultTable),
            (true, false) => Ok(Self::Table(Template::parse(&text)?)),
            (false, false) => Ok(Self::Template(Template::parse(&text)?)),
        }
    }

    /// Renders the rows, each an object of docker's field names. Every line
    /// ends in a newline. Errors are those of [`Template::render`]; nothing is
    /// rendered then.
    pub fn render(&self, rows: &[Value], columns: Columns<'_>) -> Result<String> {
        match self {
            Self::Json => Ok(rows.iter().map(|row| text::json(row) + "\n").collect()),
            Self::Template(template) => render_rows(template, rows),
            Self::Table(template) => {
                let headers = columns.headers.iter();
                let headers: Map<String, Value> = headers
                    .map(|(field, header)| ((*field).to_owned(), Value::from(*header)))
                    .collect();
                let header = template.render_header(&Value::Object(headers));
                Ok(align(&format!("{header}\n{}", render_rows(template, rows)?)))
            }
            Self::DefaultTable => {
                let fields = columns.fields;
                let mut table = Table::new(fields.iter().map(|field| columns.header(field)));
                for row in rows {
                    let cell = |field: &&str| match row.get(*field) {
                        None | Some(Value::Null) => String::new(),
                        Some(value) => text::sprint(value),
                    };
                    table.row(fields.iter().map(cell));
                }
                Ok(table.render())
            }
        }
    }
}

fn render_rows(template: &Template, rows: &[Value]) -> Result<String> {
    let mut out = String::new();
    for row in rows {
        out.push_str(&template.render(row)?);
        out.push('\n');
    }
    Ok(out)
}

/// The `--format` of `inspect`.
#[derive(Clone, Debug)]
pub enum InspectFormat {
    /// None given: one array of all objects, indented by four spaces.
    Indented,
    /// `json`: one array of all objects in one line.
    Json,
    /// A template, rendered once an object.
    Template(Template),
}

impl InspectFormat {
    /// Parses the value of the flag, empty where it is not given. Other than
    /// in a list the text is the template as it stands.
    pub fn parse(flag: &str) -> Result<Self> {
        match flag {
            "" => Ok(Self::Indented),
            "json" => Ok(Self::Json),
            _ => Ok(Self::Template(Template::parse(flag)?)),
        }
    }

    /// Renders the objects that were found, the text ending in a newline; for
    /// none of them `[]`, or an empty line where there is a template. JSON has
    /// the fields in the order in which an object serialises them. Errors are
    /// those of [`Template::render`].
    pub fn render<T: Serialize>(&self, objects: &[T]) -> Result<String> {
        let fail = |source: serde_json::Error| Error::internal("cannot write JSON").because(source);
        match self {
            Self::Template(_) if objects.is_empty() => Ok("\n".to_owned()),
            Self::Template(template) => {
                let values = objects.iter().map(serde_json::to_value);
                render_rows(template, &values.collect::<Result<Vec<_>, _>>().map_err(fail)?)
            }
            Self::Json => Ok(text::escaped(serde_json::to_string(objects).map_err(fail)?) + "\n"),
            Self::Indented => {
                let mut bytes = Vec::new();
                let formatter = PrettyFormatter::with_indent(b"    ");
                objects
                    .serialize(&mut Serializer::with_formatter(&mut bytes, formatter))
                    .map_err(fail)?;
                bytes.push(b'\n');
                String::from_utf8(bytes)
                    .map_err(|source| Error::internal("JSON is not UTF-8").because(source))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use serde_json::json;

    const COLUMNS: Columns<'_> = Columns {
        fields: &["ID", "Image", "Ports", "Size"],
        headers: &[("ID", "CONTAINER ID"), ("RunningFor", "CREATED"), ("Image", "IMAGE")],
    };

    fn rows() -> Vec<Value> {
        vec![
            json!({"ID": "0123456789ab", "Image": "centos:6", "Ports": "", "Size": 3, "RunningFor": "2 days ago", "Labels": "a=1,com.x.y=z"}),
            json!({"ID": "ba9876543210", "Image": "localhost:5000/a/very/long:name", "Ports": "80/tcp", "Size": 12, "RunningFor": "3 hours ago", "Labels": ""}),
        ]
    }

    fn list(flag: &str) -> String {
        Format::parse(flag).and_then(|format| format.render(&rows(), COLUMNS)).expect("renders")
    }

    #[test]
    fn default_table_has_the_callers_columns() {
        let expected = "\
CONTAINER ID   IMAGE                             PORTS     SIZE
0123456789ab   centos:6                                    3
ba9876543210   localhost:5000/a/very/long:name   80/tcp    12
";
        assert_eq!(list("table"), expected);
        assert_eq!(list("table "), expected);
        assert_eq!(list(""), expected);
    }

    #[test]
    fn table_template_gets_headers_of_its_fields() {
        let expected = "\
CREATED       CONTAINER ID   SIZE      y
2 DAYS AGO    012            3         z
3 HOURS AGO   ba9            12        
";
        let flag =
            r#"table {{upper .RunningFor}}\t{{truncate .ID 3}}\t{{.Size}}\t{{.Label "com.x.y"}}"#;
        assert_eq!(list(flag), expected);
        assert_eq!(list("table{{.ID}}"), "CONTAINER ID\n0123456789ab\nba9876543210\n");
    }

    #[test]
    fn json_is_an_object_a_line() {
        let text = list("json");
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with(r#"{"ID":"0123456789ab","Image":"centos:6","#), "{text}");
        assert!(text.ends_with("}\n"));
    }

    #[test]
    fn plain_template_is_rendered_once_a_row() {
        assert_eq!(
            list(r"{{.Size}}\t{{.Image}}"),
            "3\tcentos:6\n12\tlocalhost:5000/a/very/long:name\n"
        );
    }

    #[test]
    fn a_field_that_no_row_has_is_an_error() {
        let format = Format::parse("table {{.ID}}\\t{{.image}}").expect("parses");
        let error = format.render(&rows(), COLUMNS).expect_err("no such field");
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(error.to_string(), "template:1:11: can't evaluate field image");
        assert_eq!(error.hint_text(), Some("write .Image"));
        assert_eq!(format.render(&[], COLUMNS).expect("no row"), "CONTAINER ID   IMAGE\n");
    }

    #[test]
    fn inspect_is_an_array_or_a_template() {
        let objects =
            [json!({"Id": "a<b", "Nil": null, "List": [], "Deep": {"K": [1]}}), json!({"Id": "c"})];
        let inspect = |flag: &str, objects: &[Value]| {
            InspectFormat::parse(flag).and_then(|format| format.render(objects)).expect("renders")
        };
        assert_eq!(
            inspect("json", &objects),
            "[{\"Deep\":{\"K\":[1]},\"Id\":\"a<b\",\"List\":[],\"Nil\":null},{\"Id\":\"c\"}]\n"
        );
        assert_eq!(inspect(r"{{.Id}}\t", &objects), "a<b\\t\nc\\t\n");
        let expected = "[\n    {\n        \"Id\": \"c\"\n    }\n]\n";
        assert_eq!(inspect("", &objects[1..]), expected);
        assert_eq!(inspect("", &[]), "[]\n");
        assert_eq!(inspect("json", &[]), "[]\n");
        assert_eq!(inspect("{{.Id}}", &[]), "\n");
    }
}
