//! The nearest right word to a wrong one, and lists of words for hints. It
//! knows nothing of what the words mean.

/// Longer words are not compared: nobody mistypes them by a letter, and the
/// comparison is quadratic.
const LONGEST: usize = 64;

/// Returns the candidate that `given` is probably a misspelling of: equal but
/// for case, or at most a third of its letters away (an exchange of two
/// neighbours counts as one). The first of several equally near ones wins.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given: Vec<char> = given.chars().take(LONGEST + 1).collect();
    if given.is_empty() || given.len() > LONGEST {
        return None;
    }
    let allowed = (given.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&given, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Prints words as "`a`, `b` or `c`".
pub fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// A hint for a word that is none of `known`: the nearest one, or all of them.
pub fn hint(given: &str, known: &[&str]) -> String {
    match nearest(given, known.iter().copied()) {
        Some(word) => format!("write `{word}`"),
        None => format!("write {}", one_of(known)),
    }
}

/// Optimal string alignment distance, letters compared without ASCII case.
fn distance(given: &[char], candidate: &str) -> usize {
    let right: Vec<char> = candidate.chars().collect();
    let same = |a: char, b: char| a.eq_ignore_ascii_case(&b);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, &left) in given.iter().enumerate() {
        let mut row = Vec::with_capacity(right.len() + 1);
        row.push(i + 1);
        for (j, &letter) in right.iter().enumerate() {
            let change = above[j] + usize::from(!same(left, letter));
            let mut best = change.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && same(left, right[j - 1]) && same(given[i - 1], letter) {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_that_was_meant() {
        let known = ["command", "builddir", "network", "init"];
        for (given, meant) in [
            ("comand", Some("command")),
            ("commnad", Some("command")),
            ("NETWORK", Some("network")),
            ("buildir", Some("builddir")),
            ("inti", Some("init")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, known), meant, "{given}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }

    #[test]
    fn lists_words_as_a_sentence_does() {
        assert_eq!(one_of(&["a"]), "`a`");
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(hint("hots", &["none", "host"]), "write `host`");
        assert_eq!(hint("bridge", &["none", "host"]), "write `none` or `host`");
    }
}
