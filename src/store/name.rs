//! Names for containers that were given none: an adjective and the surname of
//! somebody who made computing, or the science below it.

use crate::error::Result;
use crate::id::ContainerName;

use super::workspace::random;

const ADJECTIVES: [&str; 64] = [
    "agile", "airy", "amber", "ample", "apt", "balmy", "bold", "brave", "breezy", "bright",
    "brisk", "calm", "candid", "cheery", "chipper", "civil", "clear", "cosy", "crisp", "curious",
    "daring", "deft", "dewy", "eager", "early", "earnest", "fair", "fleet", "fluent", "frank",
    "fresh", "gentle", "glad", "golden", "hale", "handy", "hardy", "humble", "keen", "kind",
    "lively", "loyal", "lucid", "mellow", "merry", "mild", "neat", "nimble", "patient", "placid",
    "plucky", "polite", "prompt", "quiet", "ready", "robust", "rosy", "snug", "spry", "steady",
    "sunny", "tidy", "vivid", "witty",
];

const SURNAMES: [&str; 64] = [
    "abel",
    "adleman",
    "aho",
    "allman",
    "amdahl",
    "backus",
    "bohr",
    "boole",
    "borg",
    "cantor",
    "cerf",
    "chomsky",
    "church",
    "clarke",
    "cocke",
    "codd",
    "conway",
    "cook",
    "corbato",
    "cray",
    "dahl",
    "dennard",
    "diffie",
    "dirac",
    "engelbart",
    "erdos",
    "ershov",
    "floyd",
    "fourier",
    "gray",
    "hamming",
    "hellman",
    "hilbert",
    "huffman",
    "iverson",
    "joy",
    "kahan",
    "karp",
    "kay",
    "kernighan",
    "kilburn",
    "kleene",
    "knuth",
    "lamport",
    "lampson",
    "lebedev",
    "liskov",
    "markov",
    "mccarthy",
    "mcilroy",
    "metcalfe",
    "milner",
    "minsky",
    "naur",
    "nygaard",
    "perlis",
    "postel",
    "rabin",
    "shannon",
    "sutherland",
    "tarjan",
    "tukey",
    "wilkes",
    "zuse",
];

/// A random `adjective_surname`; it may be taken.
///
/// # Errors
/// Those of getrandom(2).
pub fn random_name() -> Result<ContainerName> {
    // Both lists have 64 words: six bits choose one evenly.
    let [adjective, surname] = random::<2>()?.map(|byte| usize::from(byte & 63));
    format!("{}_{}", ADJECTIVES[adjective], SURNAMES[surname]).parse()
}

/// `name` with random digits behind it.
pub(super) fn numbered(name: &ContainerName) -> Result<ContainerName> {
    format!("{name}{}", u32::from_ne_bytes(random()?)).parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_makes_a_valid_name_and_none_is_there_twice() {
        for words in [ADJECTIVES, SURNAMES] {
            assert!(words.is_sorted());
            assert!(words.windows(2).all(|pair| pair[0] != pair[1]));
            assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
        }
        let name = random_name().unwrap();
        let (adjective, surname) = name.as_str().split_once('_').unwrap();
        assert!(ADJECTIVES.contains(&adjective) && SURNAMES.contains(&surname));
        assert!(numbered(&name).unwrap().as_str().starts_with(name.as_str()));
    }
}
