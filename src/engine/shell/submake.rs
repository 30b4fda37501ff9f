//! What makes a make inside the sub-make of the one that called envbox: its
//! flags, its level, and the jobserver under numbers that are open inside.
//!
//! `MAKEFLAGS` without `MAKELEVEL` is no make's but somebody's `.profile`, and
//! stays outside like every other variable.

/// The variables that a make inside reads, for a caller whose `MAKELEVEL` and
/// `MAKEFLAGS` are these, and whose jobserver can be reached by the descriptors
/// `jobserver`. None unless a make called.
pub(super) fn variables(
    (level, outside): (Option<&str>, Option<&str>),
    jobserver: Option<(i32, i32)>,
) -> Vec<(&'static str, String)> {
    let Some(level) = level else { return Vec::new() };
    let mut variables = vec![("MAKELEVEL", level.to_owned())];
    let flags = flags(outside.unwrap_or_default(), jobserver);
    if !flags.is_empty() {
        variables.push(("MAKEFLAGS", flags));
    }
    variables
}

/// `outside` in the form that make has written since 3.81: letters in one
/// word, options, `--`, variables. Without `-n` a recipe that begins with `+`
/// would really build where it should only say so; without the variables it
/// would build something else. Only the jobserver is another: `jobserver`, or
/// none, and then no `-j` either, which is what make does about a jobserver
/// that it cannot reach.
fn flags(outside: &str, jobserver: Option<(i32, i32)>) -> String {
    let (options, variables) = match outside.find("-- ") {
        Some(at) if at == 0 || outside[..at].ends_with(' ') => outside.split_at(at),
        _ => (outside, ""),
    };
    let is_about_jobs = |word: &&str| word.starts_with("-j") || word.starts_with("--jobserver-");
    let mut words: Vec<&str> =
        options.split_whitespace().filter(|word| !is_about_jobs(word)).collect();
    // Make before 4.2 knows this spelling only, and those after it still do. A
    // number after -j would make them warn, and leave the jobserver alone.
    let jobs = jobserver.map(|(read, write)| format!("-j --jobserver-fds={read},{write}"));
    words.extend(jobs.as_deref());
    if !variables.is_empty() {
        words.push(variables);
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jobserver_gets_the_numbers_inside_in_the_old_spelling() {
        let new = flags(" -j4 --jobserver-auth=3,4", Some((3, 4)));
        assert_eq!(new, "-j --jobserver-fds=3,4");
        let fifo = flags("ks -j4 --jobserver-auth=fifo:/tmp/GMfifo1", Some((7, 8)));
        assert_eq!(fifo, "ks -j --jobserver-fds=7,8");
        assert_eq!(flags("k --jobserver-fds=3,4 -j", Some((3, 4))), "k -j --jobserver-fds=3,4");
    }

    #[test]
    fn without_a_jobserver_there_are_no_jobs() {
        assert_eq!(flags(" -j4 --jobserver-auth=3,4", None), "");
        assert_eq!(
            flags("n -j4 --jobserver-auth=3,4 --no-print-directory", None),
            "n --no-print-directory"
        );
    }

    #[test]
    fn variables_stay_as_they_are() {
        let outside = r"k -j2 --jobserver-auth=3,4 -- A=b\ \ c CFLAGS=-j\ --jobserver-x";
        let inside = r"k -j --jobserver-fds=5,6 -- A=b\ \ c CFLAGS=-j\ --jobserver-x";
        assert_eq!(flags(outside, Some((5, 6))), inside);
        assert_eq!(flags("-- A=b", None), "-- A=b");
        assert_eq!(flags(" -- A=b", None), "-- A=b");
    }

    #[test]
    fn flags_of_no_make_stay_outside() {
        assert!(variables((None, Some("-j8")), None).is_empty());
        let expected = vec![("MAKELEVEL", "2".to_owned()), ("MAKEFLAGS", "n".to_owned())];
        assert_eq!(variables((Some("2"), Some("n")), None), expected);
        assert_eq!(variables((Some("1"), None), None), [("MAKELEVEL", "1".to_owned())]);
    }
}
