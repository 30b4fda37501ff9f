//! Brace lists as bash expands them: `{a,b{c,d}}e` is `ae bce bde`.
//!
//! Like bash: what has no matching brace or no comma stays as it is, `${` hides
//! a list, a backslash hides one character, results come from left to right.
//! Unlike bash: there are no sequences (`{1..3}` stays as it is) and no quotes,
//! since the pattern has left the shell behind.

use crate::error::{Error, Result};

/// The most patterns that one may become.
const MAX_RESULTS: usize = 4096;

/// How deep lists may nest; expansion recurses once a level.
const MAX_DEPTH: usize = 64;

/// Expands the brace lists of `pattern`; without any, the result is `pattern`
/// alone.
///
/// # Errors
///
/// `Invalid` beyond 4,096 results or 64 levels.
pub(super) fn expand(pattern: &[u8]) -> Result<Vec<Vec<u8>>> {
    expand_at(pattern, 0)
}

fn expand_at(pattern: &[u8], depth: usize) -> Result<Vec<Vec<u8>>> {
    if depth > MAX_DEPTH {
        return Err(too_much(pattern, format!("braces nest deeper than {MAX_DEPTH}")));
    }
    let mut results = vec![Vec::new()];
    let mut rest = pattern;
    while let Some((open, close)) = next_list(rest) {
        let mut choices = Vec::new();
        for element in split_list(&rest[open + 1..close]) {
            choices.append(&mut expand_at(element, depth + 1)?);
            if choices.len().saturating_mul(results.len()) > MAX_RESULTS {
                let message = format!("braces expand to more than {MAX_RESULTS} patterns");
                return Err(too_much(pattern, message));
            }
        }
        results = results
            .iter()
            .flat_map(|left| choices.iter().map(|right| [left, &rest[..open], right].concat()))
            .collect();
        rest = &rest[close + 1..];
    }
    results.iter_mut().for_each(|result| result.extend_from_slice(rest));
    Ok(results)
}

/// The positions of the braces of the first list.
fn next_list(text: &[u8]) -> Option<(usize, usize)> {
    let mut scan = Scan::new(text, 0);
    while let Some((open, byte)) = scan.next_live() {
        if byte == b'{' && scan.level == 0 && !(open == 0 && text.get(1) == Some(&b'}')) {
            if let Some(close) = closing_brace(text, open + 1) {
                return Some((open, close));
            }
            continue;
        }
        scan.nest(byte);
    }
    None
}

/// The brace that closes the list whose first element begins at `start`. One
/// before the first comma does not: `{a},b}` is the list of `a}` and `b`.
fn closing_brace(text: &[u8], start: usize) -> Option<usize> {
    let mut scan = Scan::new(text, start);
    let mut has_comma = false;
    while let Some((at, byte)) = scan.next_live() {
        match byte {
            b'}' if scan.level == 0 && has_comma => return Some(at),
            b',' if scan.level == 0 => has_comma = true,
            _ => scan.nest(byte),
        }
    }
    None
}

fn split_list(list: &[u8]) -> Vec<&[u8]> {
    let mut elements = Vec::new();
    let mut scan = Scan::new(list, 0);
    let mut start = 0;
    while let Some((at, byte)) = scan.next_live() {
        if byte == b',' && scan.level == 0 {
            elements.push(&list[start..at]);
            start = at + 1;
        } else {
            scan.nest(byte);
        }
    }
    elements.push(&list[start..]);
    elements
}

/// Walks over the bytes that no backslash hides, counting open braces.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    level: usize,
}

impl<'a> Scan<'a> {
    fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at, level: 0 }
    }

    fn next_live(&mut self) -> Option<(usize, u8)> {
        loop {
            let at = self.at;
            match self.text.get(at)? {
                b'\\' => self.at += 2,
                b'$' if self.text.get(at + 1) == Some(&b'{') => {
                    self.level += 1;
                    self.at += 2;
                }
                &byte => {
                    self.at += 1;
                    return Some((at, byte));
                }
            }
        }
    }

    fn nest(&mut self, byte: u8) {
        match byte {
            b'{' => self.level += 1,
            b'}' => self.level = self.level.saturating_sub(1),
            _ => {}
        }
    }
}

fn too_much(pattern: &[u8], what: String) -> Error {
    let pattern = String::from_utf8_lossy(&pattern[..pattern.len().min(60)]).into_owned();
    Error::invalid(format!("exclude pattern {pattern}: {what}"))
        .hint("write several --exclude patterns, or a file for --exclude-from")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::process::Command;

    fn expanded(pattern: &str) -> Vec<String> {
        let results = expand(pattern.as_bytes()).unwrap();
        results.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }

    #[test]
    fn expands_as_bash_does() {
        let patterns = [
            "{vmlinuz,initrd.img}",
            "var/{cache,log,tmp}/x",
            "{a{b,c}}",
            "{a},b}",
            "{a,{b,c}",
            "{},a}",
            "x{}{a,b}",
            "a{b,{c,d}e,f}g{1,2}",
            "{a,b}}",
            "{{a,b}",
            "{a",
            "a}",
            "x{,y}",
            "{x,y,}z",
            "{{a}},b",
            "{a}{b,c}",
            "{a,b{c}",
            "{a,b}{c,d}{e,f}",
            "{{a,b},{c,d}}",
            "a,b",
            "{a,b}c}d{e,f",
            "{{{a,b}}}",
        ];
        for pattern in patterns {
            let script = format!("set -f; printf '%s\\n' {pattern}");
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            let bash = String::from_utf8(output.stdout).unwrap();
            assert_eq!(expanded(pattern), bash.lines().collect::<Vec<_>>(), "{pattern}");
        }
    }

    #[test]
    fn leaves_hidden_braces_and_sequences_alone() {
        for pattern in
            ["\\{a,b\\}", "\\{a,b}", "{a\\,b}", "${a,b}", "${x{a,b}}", "{1..3}", "{a", ""]
        {
            assert_eq!(expanded(pattern), [pattern]);
        }
        assert_eq!(expanded("{a\\,b,c}"), ["a\\,b", "c"]);
        assert_eq!(expanded("{a,b}\\"), ["a\\", "b\\"]);
    }

    #[test]
    fn refuses_an_explosion() {
        let most = "{a,b}".repeat(12);
        assert_eq!(expanded(&most).len(), 4096);
        for pattern in ["{a,b}".repeat(13), format!("{}{}", "{a,".repeat(80), "}".repeat(80))] {
            assert_eq!(expand(pattern.as_bytes()).unwrap_err().kind(), Kind::Invalid);
        }
    }
}
