//! Headers of every known platform, hostile bytes, and our own binary.

use proptest::prelude::*;

use super::*;
use crate::error::Kind;

/// A file made of a header, one program header and one section header.
#[derive(Clone, Debug)]
struct Sample {
    wide: bool,
    big: bool,
    os_abi: u8,
    machine: u16,
    flags: u32,
    interpreter: &'static [u8],
    attributes: Vec<u8>,
}

fn sample(machine: elf::Machine) -> Sample {
    Sample {
        wide: true,
        big: false,
        os_abi: 0,
        machine: machine.0,
        flags: 0,
        interpreter: b"",
        attributes: Vec::new(),
    }
}

impl Sample {
    fn number(&self, value: u64, size: usize) -> Vec<u8> {
        match self.big {
            true => value.to_be_bytes()[8 - size..].to_vec(),
            false => value.to_le_bytes()[..size].to_vec(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let width = if self.wide { 8 } else { 4 };
        let (header, program, section) = if self.wide { (64, 56, 64) } else { (52, 32, 40) };
        let data = header + program + section;
        let segment = (data, self.interpreter.len() as u64);
        let rest = (segment.0 + segment.1, self.attributes.len() as u64);
        let kind = if self.interpreter.is_empty() { 1 } else { 3 };
        let mut fields: Vec<(u64, usize)> = vec![(3, 2), (u64::from(self.machine), 2), (1, 4)];
        fields.extend([(0, width), (header, width), (header + program, width)]);
        fields.extend([(u64::from(self.flags), 4), (header, 2), (program, 2), (1, 2)]);
        fields.extend([(section, 2), (1, 2), (0, 2)]);
        let gap = if self.wide { 4 } else { 0 };
        fields.extend([(kind, 4), (0, gap), (segment.0, width), (0, width), (0, width)]);
        fields.extend([(segment.1, width), (0, width), (0, 4 - gap), (0, width)]);
        let attributes = u64::from(elf::SHT_ARM_ATTRIBUTES.0);
        fields.extend([(0, 4), (attributes, 4), (0, width), (0, width), (rest.0, width)]);
        fields.extend([(rest.1, width), (0, 4), (0, 4), (0, width), (0, width)]);
        let mut bytes = elf::ELFMAG.to_vec();
        bytes.extend([1 + u8::from(self.wide), 1 + u8::from(self.big), 1, self.os_abi]);
        bytes.extend([0; 8]);
        fields.iter().for_each(|&(value, size)| bytes.extend(self.number(value, size)));
        assert_eq!(bytes.len() as u64, data);
        [&bytes[..], self.interpreter, &self.attributes].concat()
    }

    fn identity(&self) -> ElfIdentity {
        parse_identity(&self.bytes()).unwrap().unwrap()
    }

    fn platform(&self) -> Option<(&'static str, Option<&'static str>)> {
        let platform = self.identity().platform()?;
        assert_eq!(platform.os, "linux");
        Some((platform.architecture, platform.variant))
    }
}

fn narrow(sample: Sample) -> Sample {
    Sample { wide: false, ..sample }
}

fn big(sample: Sample) -> Sample {
    Sample { big: true, ..sample }
}

/// An attributes section whose file scope holds `attributes`.
fn arm_section(attributes: &[u8], big: bool) -> Vec<u8> {
    let word = |value: usize| {
        let value = u32::try_from(value).unwrap();
        if big { value.to_be_bytes() } else { value.to_le_bytes() }
    };
    let scope = |attributes: &[u8]| [&[1][..], &word(attributes.len() + 5), attributes].concat();
    let vendor = |name: &[u8], scope: Vec<u8>| {
        [&word(scope.len() + name.len() + 4)[..], name, &scope].concat()
    };
    let other = vendor(b"gnu\0", scope(&[4, 1]));
    [b"A", &other[..], &vendor(b"aeabi\0", scope(attributes))].concat()
}

#[test]
fn names_platforms_in_the_words_of_the_oci() {
    for (sample, expected) in [
        (sample(elf::EM_X86_64), Some(("amd64", None))),
        (narrow(sample(elf::EM_X86_64)), Some(("amd64", None))),
        (narrow(sample(elf::EM_386)), Some(("386", None))),
        (sample(elf::EM_AARCH64), Some(("arm64", Some("v8")))),
        (sample(elf::EM_PPC64), Some(("ppc64le", None))),
        (big(sample(elf::EM_PPC64)), Some(("ppc64", None))),
        (big(sample(elf::EM_S390)), Some(("s390x", None))),
        (sample(elf::EM_RISCV), Some(("riscv64", None))),
        (sample(elf::EM_LOONGARCH), Some(("loong64", None))),
        (sample(elf::EM_MIPS), Some(("mips64le", None))),
        (big(narrow(sample(elf::EM_MIPS))), Some(("mips", None))),
        (Sample { flags: 0x20, ..narrow(sample(elf::EM_MIPS)) }, None),
        (Sample { os_abi: 3, ..sample(elf::EM_X86_64) }, Some(("amd64", None))),
        (Sample { os_abi: 9, ..sample(elf::EM_X86_64) }, None),
        (Sample { os_abi: 97, ..sample(elf::EM_X86_64) }, None),
        (big(sample(elf::EM_AARCH64)), None),
        (sample(elf::Machine(0xbeef)), None),
    ] {
        assert_eq!(sample.platform(), expected, "{sample:?}");
    }
    assert!(narrow(sample(elf::EM_X86_64)).identity().is_x32());
    assert!(!sample(elf::EM_X86_64).identity().is_x32());
}

#[test]
fn tells_arm_variants_by_attributes_then_flags() {
    let eabi5 = 0x0500_0000;
    let arm = |flags: u32, attributes: &[u8]| {
        let attributes = arm_section(attributes, false);
        Sample { flags, attributes, ..narrow(sample(elf::EM_ARM)) }.platform()
    };
    assert_eq!(arm(eabi5 | 0x400, b""), Some(("arm", Some("v7"))));
    assert_eq!(arm(eabi5 | 0x200, b""), Some(("arm", Some("v5"))));
    assert_eq!(arm(eabi5, b""), Some(("arm", Some("v5"))));
    assert_eq!(arm(0, b""), None);
    // Raspbian: hard float on ARM v6, behind a name, a compatibility and an
    // unknown string.
    assert_eq!(
        arm(eabi5 | 0x400, b"\x056\0\x20\x01x\0\x43x\0\x06\x06\x08\x01"),
        Some(("arm", Some("v6")))
    );
    for (cpu, variant) in [(4, "v5"), (9, "v6"), (10, "v7"), (12, "v6"), (13, "v7"), (14, "v8")] {
        assert_eq!(arm(eabi5 | 0x400, &[6, cpu]), Some(("arm", Some(variant))));
    }
    assert_eq!(arm::cpu_architecture(&arm_section(b"\x06\x0a", true), ByteOrder::Big), Some(10));
}

#[test]
fn finds_the_interpreter() {
    let with = |interpreter| Sample { interpreter, ..sample(elf::EM_X86_64) };
    let path = || Interpreter::Path(b"/lib/ld.so".to_vec());
    assert_eq!(with(b"/lib/ld.so\0").identity().interpreter, path());
    assert_eq!(narrow(with(b"/lib/ld.so\0")).identity().interpreter, path());
    assert_eq!(big(with(b"/lib/ld.so\0")).identity().interpreter, path());
    assert_eq!(with(b"").identity().interpreter, Interpreter::Absent);
    assert_eq!(with(b"/lib/ld.so").identity().interpreter, Interpreter::Unknown);
    assert_eq!(with(b"\0").identity().interpreter, Interpreter::Unknown);

    let bytes = with(b"/lib/ld.so\0").bytes();
    let cut = parse_identity(&bytes[..bytes.len() - 1]).unwrap().unwrap();
    assert_eq!(cut.interpreter, Interpreter::Unknown);
    let bare = parse_identity(&bytes[..64]).unwrap().unwrap();
    assert_eq!((bare.interpreter, bare.machine), (Interpreter::Unknown, elf::EM_X86_64.0));
}

#[test]
fn tells_what_is_no_elf_from_what_is_broken() {
    for text in [&b""[..], b"\x7fEL", b"#!/bin/sh\n", &[0; 64]] {
        assert_eq!(parse_identity(text).unwrap(), None);
    }
    let whole = sample(elf::EM_X86_64).bytes();
    for length in 4..62 {
        assert_eq!(parse_identity(&whole[..length]).unwrap_err().kind(), Kind::Invalid);
    }
    for (at, message) in [
        (4, "ELF header has the unknown class 9"),
        (5, "ELF header has the unknown byte order 9"),
        (6, "ELF header has the unknown version 9"),
    ] {
        let mut bytes = whole.clone();
        bytes[at] = 9;
        assert_eq!(parse_identity(&bytes).unwrap_err().to_string(), message);
    }
}

#[test]
fn reads_a_real_program() {
    let file = rustix::fs::open(
        "/proc/self/exe",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    let mut head = vec![0; HEAD_BYTES];
    let length = rustix::io::read(&file, &mut head[..]).unwrap();
    let identity = parse_identity(&head[..length]).unwrap().unwrap();
    let (machine, architecture) = match std::env::consts::ARCH {
        "x86_64" => (elf::EM_X86_64, "amd64"),
        _ => (elf::EM_AARCH64, "arm64"),
    };
    assert_eq!((identity.class, identity.machine), (ElfClass::Bits64, machine.0));
    assert_eq!(identity.platform().unwrap().architecture, architecture);
    assert_ne!(identity.interpreter, Interpreter::Unknown);
}

#[test]
fn candidates_are_relative_and_distinct() {
    let mut seen = std::collections::HashSet::new();
    for path in CANDIDATES {
        assert!(!path.starts_with('/') && seen.insert(path), "{path}");
    }
}

proptest! {
    #[test]
    fn takes_any_bytes_behind_the_magic(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [&elf::ELFMAG[..], &tail].concat();
        if let Ok(Some(identity)) = parse_identity(&bytes) {
            prop_assert!(identity.platform().is_none_or(|platform| platform.os == "linux"));
        }
    }

    #[test]
    fn takes_any_damage(
        wide: bool,
        big: bool,
        is_arm: bool,
        damage in proptest::collection::vec((0_usize..240, any::<u8>()), 0..6),
        length in 0_usize..240,
    ) {
        let machine = if is_arm { elf::EM_ARM } else { elf::EM_X86_64 };
        let attributes = arm_section(b"\x056\0\x20\x01x\0\x06\x06", big);
        let sample =
            Sample { wide, big, interpreter: b"/lib/ld.so\0", attributes, ..sample(machine) };
        let mut bytes = sample.bytes();
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(length);
        if let Ok(Some(identity)) = parse_identity(&bytes) {
            prop_assert!(identity.platform().is_none_or(|platform| platform.os == "linux"));
            prop_assert_ne!(identity.interpreter, Interpreter::Path(Vec::new()));
        }
    }

    #[test]
    fn takes_any_arm_attributes(section in proptest::collection::vec(any::<u8>(), 0..80)) {
        let found = arm::cpu_architecture(&arm_section(&section, false), ByteOrder::Little);
        prop_assert!(found.is_none() || section.contains(&6) || section.contains(&0x86));
        let bare = [b"A", &section[..]].concat();
        prop_assert_eq!(arm::cpu_architecture(&bare, ByteOrder::Big), None);
    }
}
