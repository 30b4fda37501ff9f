//! The five floors of `src/lib.rs`, and who may import whom.

use super::source::{self, File, words};
use super::{Breach, Rule};

/// The modules of each floor, from the ground up.
const FLOORS: [&[&str]; 5] = [
    &["error", "digest", "reference", "id", "platform", "mount", "oci", "fs", "sys"],
    &["store"],
    &["image", "registry", "dockerfile", "runtime", "monitor", "network", "compat"],
    &["engine"],
    &["cli"],
];

/// The floor of siblings that never see each other.
const SIBLINGS: usize = 2;

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// Whether code of one module may name another.
fn may_import(from: &str, to: &str) -> bool {
    match (floor(from), floor(to)) {
        _ if from == to => true,
        (Some(from), Some(to)) => to < from || (to == from && from != SIBLINGS),
        _ => false,
    }
}

/// Every import that goes up, sideways, or to nowhere.
pub fn breaches() -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in source::rust_files("src") {
        let Some(module) = module(&file.path) else { continue };
        let mut breach = |what| {
            breaches.push(Breach { rule: Rule::Floors, path: file.path.clone(), what });
        };
        if floor(module).is_none() {
            breach(format!("`{module}` is on no floor"));
        }
        for to in imports(&file.code()).filter(|to| !may_import(module, to)) {
            breach(format!("`{module}` may not see `crate::{to}`"));
        }
        if climbs_to_the_root(&file) {
            breach("`super` leaves the module: say `crate::`".to_owned());
        }
    }
    breaches
}

/// The library's module that a file belongs to; none for the crate roots and the
/// build script.
fn module(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?.trim_end_matches(".rs");
    let module = inside.split('/').next()?;
    (!["lib", "main", "build"].contains(&module)).then_some(module)
}

/// The names that follow `crate::`, in groups too.
fn imports(code: &str) -> impl Iterator<Item = String> {
    code.match_indices("crate::").flat_map(|(start, found)| {
        let before = code[..start].chars().next_back();
        let rest = &code[start + found.len()..];
        let names = match rest.strip_prefix('{') {
            _ if before == Some('$') => Vec::new(),
            Some(group) => group_names(group),
            None => words(rest).next().map(str::to_owned).into_iter().collect(),
        };
        names.into_iter()
    })
}

/// The first words of the entries of a `{a, b::{c, d}, e}`, after the brace.
fn group_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut entry = String::new();
    for character in group.chars() {
        match character {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut entry)),
            _ => entry.push(character),
        }
    }
    names.push(entry);
    names.iter().filter_map(|entry| words(entry).next().map(str::to_owned)).collect()
}

/// Whether a chain of `super::` goes past the top module of its file.
fn climbs_to_the_root(file: &File) -> bool {
    let inside = file.path.trim_start_matches("src/").trim_end_matches(".rs");
    let depth = inside.trim_end_matches("/mod").split('/').count();
    file.code_without_tests().contains(&"super::".repeat(depth))
}

#[test]
fn the_import_rule_is_the_one_of_the_map() {
    let allowed = [("store", "error"), ("image", "store"), ("cli", "sys"), ("fs", "error")];
    let forbidden = [("error", "store"), ("image", "registry"), ("store", "engine"), ("fs", "x")];
    assert!(allowed.iter().all(|(from, to)| may_import(from, to)));
    assert!(!forbidden.iter().any(|(from, to)| may_import(from, to)));
}

#[test]
fn imports_are_seen_in_every_form() {
    let code = "use crate::fs::Dir; use crate::{error::{Error, Kind}, id}; x(crate::sys::y())";
    let seen: Vec<String> = imports(code).collect();
    assert_eq!(seen, ["fs", "error", "id", "sys"]);
}
