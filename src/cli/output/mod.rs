//! Values as docker's command line shows them: plain tables, sizes, durations,
//! times, short IDs. Everything returns text; nothing here prints, asks for the
//! clock or for the terminal.

mod size;
mod table;
mod time;

pub(in crate::cli) use size::significant;
pub use size::{binary_size, human_size, human_sum};
pub use table::{Table, align, ellipsis};
pub use time::{ago, created_at, event_time, human_duration, rfc3339};

/// The first twelve characters of an ID or digest, without its `sha256:`.
pub fn short_id(id: &str) -> &str {
    let encoded = id.split_once(':').map_or(id, |(_, encoded)| encoded);
    prefix(encoded, 12)
}

/// The first `length` bytes; fewer where that would cut a character.
pub(in crate::cli) fn prefix(text: &str, length: usize) -> &str {
    let longest = length.min(text.len());
    let end = (0..=longest).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::short_id;

    #[test]
    fn short_id_is_twelve_digits_without_the_algorithm() {
        for (id, short) in [
            ("sha256:0123456789abcdef0123", "0123456789ab"),
            ("0123456789abcdef0123", "0123456789ab"),
            ("0123", "0123"),
            ("", ""),
            ("ééééééé", "éééééé"),
            ("xéééééééé", "xééééé"),
        ] {
            assert_eq!(short_id(id), short);
        }
    }
}
