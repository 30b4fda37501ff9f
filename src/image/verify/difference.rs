//! Which members of a tar are not those that it had.

use std::collections::HashMap;
use std::io::BufRead;

use crate::error::Result;
use crate::image::entry::display;
use crate::image::read::TarReader;
use crate::image::sums::{Sum, Sums};

/// How many are named.
const SHOWN: usize = 3;

/// What was found to differ, as the tar passes.
pub(super) struct Comparison<'a> {
    expected: &'a Sums,
    /// Where each path is, the last time.
    places: HashMap<u32, usize>,
    /// The member that should come.
    next: usize,
    /// The path of the last member, and the sum of what follows it.
    last: Vec<u8>,
    rest: Option<u32>,
    shown: Vec<String>,
    count: usize,
}

impl<'a> Comparison<'a> {
    /// Nothing has come yet of a tar that had `expected`.
    pub(super) fn new(expected: &'a Sums) -> Self {
        let places = expected.members.iter().enumerate().map(|(place, sum)| (sum.path, place));
        Self {
            expected,
            places: places.collect(),
            next: 0,
            last: Vec::new(),
            rest: None,
            shown: Vec::new(),
            count: 0,
        }
    }

    /// Compares the members that `input` gives.
    ///
    /// # Errors
    /// Those of [`TarReader`]; what came before is compared.
    pub(super) fn read(&mut self, input: impl BufRead) -> Result<()> {
        let mut reader = TarReader::new(input);
        reader.keep_sums();
        let (mut path, mut done) = (Vec::new(), 0);
        loop {
            let next = reader.next_entry();
            let sums = reader.sums();
            // The one before has passed now.
            if let Some(&sum) = sums.and_then(|sums| sums.members.get(done)) {
                self.member(&path, sum);
                done += 1;
            }
            match next? {
                Some(entry) => path = entry.path,
                None => {
                    self.rest = sums.map(|sums| sums.rest);
                    self.last = path;
                    return Ok(());
                }
            }
        }
    }

    /// Compares the end of what was read, which is that of the tar.
    pub(super) fn finish(&mut self) {
        let last = display(&self.last);
        let missing = self.expected.members.len() - self.next;
        if missing > 0 {
            self.note(|| format!("{missing} after {} missing", are(missing, last)));
        } else if self.rest != Some(self.expected.rest) {
            self.note(|| format!("what follows {last} differs"));
        }
    }

    fn member(&mut self, path: &[u8], sum: Sum) {
        let place = match self.expected.members.get(self.next) {
            Some(expected) if expected.path == sum.path => self.next,
            _ => match self.places.get(&sum.path) {
                Some(&place) if place >= self.next => place,
                _ => return self.note(|| format!("{} is new", display(path))),
            },
        };
        let missing = place - self.next;
        if missing > 0 {
            self.note(|| format!("{missing} before {} missing", are(missing, display(path))));
        }
        if self.expected.members[place].bytes != sum.bytes {
            self.note(|| format!("{} differs", display(path)));
        }
        self.next = place + 1;
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if self.count < SHOWN {
            self.shown.push(text());
        }
        self.count += 1;
    }

    /// What was found, in one clause; none if nothing was.
    pub(super) fn describe(&self) -> Option<String> {
        let more = self.count - self.shown.len();
        let shown = self.shown.join(", ");
        match (self.count, more) {
            (0, _) => None,
            (_, 0) => Some(shown),
            (_, more) => Some(format!("{shown}, and {more} more")),
        }
    }
}

fn are(count: usize, path: String) -> String {
    format!("{path} {}", if count == 1 { "is" } else { "are" })
}
