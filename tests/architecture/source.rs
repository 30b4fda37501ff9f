//! The source tree as the rules read it: files, their code without comments and
//! literals, and that code without its tests.

use std::fs;
use std::path::{Path, PathBuf};

/// One file of the tree.
pub struct File {
    /// From the package's root, with `/`.
    pub path: String,
    /// What it holds.
    pub text: String,
}

impl File {
    /// The code: comments and the insides of literals are blank, lines stay.
    pub fn code(&self) -> String {
        blank_text(&self.text)
    }

    /// The code that a release is made of: without `#[cfg(test)]` items, and
    /// empty for a file of tests.
    pub fn code_without_tests(&self) -> String {
        let stem = self.path.trim_end_matches(".rs");
        let is_tests = stem.ends_with("tests") || stem.split('/').any(|part| part == "tests");
        if is_tests { String::new() } else { blank_tests(&self.code()) }
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file below a folder of the package; none if there is no folder.
pub fn rust_files(folder: &str) -> Vec<File> {
    let files = text_files(folder).into_iter();
    files.filter(|file| file.path.ends_with(".rs")).collect()
}

/// Every file below a folder of the package that is text.
pub fn text_files(folder: &str) -> Vec<File> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = String::from_utf8(fs::read(&path).expect("can be read")).ok()?;
        let path = path.strip_prefix(root()).expect("is below the root");
        Some(File { path: path.to_str().expect("names are text").to_owned(), text })
    };
    paths.into_iter().filter_map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("can be read").path()) {
        match path.is_dir() {
            // The fuzzers' own build and corpus (.gitignore).
            true if path.ends_with("fuzz/target") || path.ends_with("fuzz/corpus") => {}
            true => collect(&path, paths),
            false => paths.push(path),
        }
    }
}

/// The words of a text: runs of letters, digits and `_`.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Replaces comments and the insides of literals by spaces.
fn blank_text(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let blank = match character {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' if !code.ends_with(is_word) || code.ends_with('b') => raw_string(rest),
            '\'' => character_literal(rest),
            _ => 0,
        };
        if blank == 0 {
            code.push(character);
            rest = &rest[character.len_utf8()..];
            continue;
        }
        code.extend(rest[..blank].chars().map(|c| if c == '\n' { c } else { ' ' }));
        rest = &rest[blank..];
    }
    code
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    for (index, pair) in text.as_bytes().windows(2).enumerate() {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 2;
        }
    }
    text.len()
}

/// The length of a string literal with its quotes.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a raw string literal; 0 if it is a word that begins with r.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    let open = 1 + hashes;
    if !text[open..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    text[open + 1..].find(&close).map_or(text.len(), |end| open + 1 + end + close.len())
}

/// The length of a character literal; 0 if it is a lifetime.
fn character_literal(text: &str) -> usize {
    let inside = &text[1..];
    if inside.starts_with('\\') {
        return inside[2..].find('\'').map_or(text.len(), |end| end + 4);
    }
    let length = inside.chars().next().map_or(0, char::len_utf8);
    if inside[length..].starts_with('\'') { length + 2 } else { 0 }
}

/// Replaces every item under `#[cfg(test)]` by spaces.
fn blank_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut result = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        result.push_str(&rest[..start]);
        let end = start + MARK.len() + item_length(&rest[start + MARK.len()..]);
        result.extend(rest[start..end].chars().map(|c| if c == '\n' { c } else { ' ' }));
        rest = &rest[end..];
    }
    result + rest
}

/// The length of an item: to its `;`, or to the brace that closes its first.
fn item_length(code: &str) -> usize {
    let mut depth = 0;
    for (index, byte) in code.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return index + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return index + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = r###"a /* b /* c */ d */ e // f
"g\"h" i r#"j"k"# l 'm' '\'' '\u{6e}' &'o p b"q" r"s" t"###;
    let code = blank_text(text);
    assert_eq!(words(&code).collect::<String>(), "aeilopbt");
    assert_eq!(code.lines().count(), 2);
}

#[test]
fn tests_are_not_the_release() {
    let code = "a\n#[cfg(test)]\nmod tests { b { c } }\nd\n#[cfg(test)] use e;\nf";
    assert_eq!(words(&blank_tests(code)).collect::<String>(), "adf");
}
