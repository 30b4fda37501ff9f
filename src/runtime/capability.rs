//! Capabilities: which there are, how the command line names them, and which
//! a container gets. Pure: it asks the kernel nothing, so the highest
//! capability that the running kernel knows is told by the caller, and it
//! neither sets nor drops any.

mod set;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

pub use set::{Capability, CapabilitySet};

impl Capability {
    /// Parses a name with or without `CAP_`, in any case.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::error::Kind::Invalid) when there is no such
    /// capability, with the nearest name as the hint.
    pub fn parse(name: &str) -> Result<Self> {
        let wanted = canonical(name);
        let found = Self::ALL.iter().find(|capability| capability.short_name() == wanted);
        found.copied().ok_or_else(|| unknown(name, &wanted))
    }

    /// The number in `include/uapi/linux/capability.h`.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The name without `CAP_`.
    fn short_name(self) -> &'static str {
        &self.name()["CAP_".len()..]
    }
}

impl CapabilitySet {
    /// No capability.
    pub const EMPTY: Self = Self::of(&[]);

    /// Every capability of [`Capability::ALL`].
    pub const ALL: Self = Self::of(Capability::ALL);

    /// Whether `capability` is in the set.
    pub fn contains(self, capability: Capability) -> bool {
        self.contains_all(Self::of(&[capability]))
    }

    /// The capabilities of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self::from_bits(self.bits() | other.bits())
    }

    /// The capabilities of this set that are not in `other`.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self::from_bits(self.bits() & !other.bits())
    }

    /// The set without the capabilities above number `last`, which is what
    /// `/proc/sys/kernel/cap_last_cap` holds: older kernels refuse to be
    /// asked for more.
    #[must_use]
    pub fn clip(self, last: u32) -> Self {
        let known = u64::MAX.checked_shr(63_u32.saturating_sub(last)).unwrap_or(0);
        Self::from_bits(self.bits() & known)
    }

    /// The capabilities in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |&capability| self.contains(capability))
    }
}

impl Serialize for CapabilitySet {
    /// A list of names, as in the runtime spec's `capabilities`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Capability::name))
    }
}

impl<'de> Deserialize<'de> for CapabilitySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names
            .iter()
            .map(|name| Capability::parse(name))
            .collect::<Result<Self>>()
            .map_err(|error| serde::de::Error::custom(error.chain()))
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Self::EMPTY, |set, one| set.union(Self::of(&[one])))
    }
}

/// One value of `--cap-add` or `--cap-drop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// `ALL`.
    All,
    /// One capability.
    One(Capability),
}

impl Selection {
    /// Parses `ALL` or the name of a capability, as [`Capability::parse`].
    ///
    /// # Errors
    /// Those of [`Capability::parse`].
    pub fn parse(text: &str) -> Result<Self> {
        if canonical(text) == "ALL" {
            return Ok(Self::All);
        }
        Capability::parse(text).map(Self::One)
    }
}

/// The capabilities of a container by docker's rules: `privileged` gives all
/// and asks nothing else; `ALL` among the added gives all but the dropped by
/// name; `ALL` among the dropped gives just the added; otherwise the dropped
/// leave the default fourteen, then the added join (so a name in both lists
/// is held).
pub fn plan(add: &[Selection], drop: &[Selection], privileged: bool) -> CapabilitySet {
    if privileged {
        CapabilitySet::ALL
    } else if add.contains(&Selection::All) {
        CapabilitySet::ALL.difference(named(drop))
    } else if drop.contains(&Selection::All) {
        named(add)
    } else {
        CapabilitySet::DEFAULT.difference(named(drop)).union(named(add))
    }
}

fn named(selections: &[Selection]) -> CapabilitySet {
    selections
        .iter()
        .filter_map(|selection| match selection {
            Selection::All => None,
            Selection::One(capability) => Some(*capability),
        })
        .collect()
}

/// The name in capitals, without `CAP_`.
fn canonical(name: &str) -> String {
    let upper = name.trim().to_ascii_uppercase();
    upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
}

fn unknown(name: &str, wanted: &str) -> Error {
    let error = Error::invalid(format!("there is no capability {name:?}"));
    let nearest = Capability::ALL
        .iter()
        .map(|capability| (distance(wanted, capability.short_name()), capability))
        .min_by_key(|&(distance, _)| distance);
    match nearest {
        Some((distance, capability)) if distance <= 3 && distance < wanted.len() => {
            error.hint(format!("did you mean {}?", capability.short_name()))
        }
        _ => error.hint("see capabilities(7) for the names"),
    }
}

/// The edit distance of two names (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
