//! Reads the head of an ELF file: for which machine it is, in the words of the
//! OCI, and which program interpreter it asks for. Knows no file and no rootfs;
//! it is given bytes, hostile ones included, and reads by offset (elf(5), System
//! V gABI) because the parsers at hand want the whole file, or an aligned copy.

mod arm;

use object::elf;

use crate::error::{Error, Result};

/// How many bytes from the start of a file are worth reading.
pub const HEAD_BYTES: usize = 64 * 1024;

/// Paths in a rootfs by which its platform is told, best first: the shell that
/// will run, the C library of merged, multilib and multiarch trees, then what
/// even a tiny image has. The caller follows symbolic links inside the rootfs
/// and takes the first that is an ELF file of a known platform.
pub const CANDIDATES: &[&str] = &[
    "bin/sh",
    "bin/bash",
    "usr/bin/sh",
    "usr/bin/bash",
    "lib64/libc.so.6",
    "usr/lib64/libc.so.6",
    "lib/x86_64-linux-gnu/libc.so.6",
    "lib/aarch64-linux-gnu/libc.so.6",
    "lib/arm-linux-gnueabihf/libc.so.6",
    "lib/arm-linux-gnueabi/libc.so.6",
    "lib/i386-linux-gnu/libc.so.6",
    "lib/powerpc64le-linux-gnu/libc.so.6",
    "lib/s390x-linux-gnu/libc.so.6",
    "lib/riscv64-linux-gnu/libc.so.6",
    "lib/loongarch64-linux-gnu/libc.so.6",
    "lib/mips64el-linux-gnuabi64/libc.so.6",
    "lib/libc.so.6",
    "usr/lib/libc.so.6",
    "bin/busybox",
    "usr/bin/busybox",
    "bin/toybox",
    "sbin/init",
    "usr/lib/systemd/systemd",
    "usr/bin/coreutils",
    "bin/true",
    "usr/bin/env",
];

/// The width of a file's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElfClass {
    /// `ELFCLASS32`
    Bits32,
    /// `ELFCLASS64`
    Bits64,
}

/// The order of bytes in a file's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// `ELFDATA2LSB`
    Little,
    /// `ELFDATA2MSB`
    Big,
}

/// The program interpreter (`PT_INTERP`) of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interpreter {
    /// There is none: a static program or a library.
    Absent,
    /// Its path, without the final NUL; never empty.
    Path(Vec<u8>),
    /// It lies beyond the bytes that were given, as `patchelf` may move it, or
    /// the program headers make no sense.
    Unknown,
}

/// What the head of an ELF file says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfIdentity {
    /// The width of addresses.
    pub class: ElfClass,
    /// The order of bytes.
    pub byte_order: ByteOrder,
    /// `EI_OSABI`: 0 (System V) or 3 (GNU) on Linux.
    pub os_abi: u8,
    /// `e_machine`, one of the `EM_` numbers.
    pub machine: u16,
    /// `e_flags`, whose meaning depends on the machine.
    pub flags: u32,
    /// The program interpreter.
    pub interpreter: Interpreter,
    /// `Tag_CPU_arch` of `.ARM.attributes`, where the section is at hand.
    arm_cpu: Option<u64>,
}

/// A platform in the words of the OCI, which are those of Go's `GOOS` and
/// `GOARCH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ElfPlatform {
    /// Always `linux`.
    pub os: &'static str,
    /// Such as `amd64`.
    pub architecture: &'static str,
    /// Such as `v8` of `arm64`.
    pub variant: Option<&'static str>,
}

/// Reads the identity from the first bytes of a file, best [`HEAD_BYTES`] of
/// them; `None` where they do not begin an ELF file.
///
/// # Errors
///
/// `Invalid` for an ELF file whose file header is cut short or has an unknown
/// class, byte order or version. What follows the header never fails.
pub fn parse_identity(bytes: &[u8]) -> Result<Option<ElfIdentity>> {
    if !bytes.starts_with(&elf::ELFMAG) {
        return Ok(None);
    }
    let [_, _, _, _, class, order, version, os_abi, ..] = *bytes else {
        return Err(malformed("is cut short"));
    };
    let class = match class {
        1 => ElfClass::Bits32,
        2 => ElfClass::Bits64,
        _ => return Err(malformed(format!("has the unknown class {class}"))),
    };
    let byte_order = match order {
        1 => ByteOrder::Little,
        2 => ByteOrder::Big,
        _ => return Err(malformed(format!("has the unknown byte order {order}"))),
    };
    if version != 1 {
        return Err(malformed(format!("has the unknown version {version}")));
    }
    let image = Image { bytes, class, byte_order };
    let header = image.header().ok_or_else(|| malformed("is cut short"))?;
    let is_arm = header.machine == elf::EM_ARM.0 && class == ElfClass::Bits32;
    Ok(Some(ElfIdentity {
        class,
        byte_order,
        os_abi,
        machine: header.machine,
        flags: header.flags,
        interpreter: image.interpreter(&header).unwrap_or(Interpreter::Unknown),
        arm_cpu: is_arm.then(|| image.arm_attributes(&header)).flatten(),
    }))
}

impl ElfIdentity {
    /// The Linux platform that runs the file; `None` for one that the OCI has
    /// no name for, or that is for another system.
    pub fn platform(&self) -> Option<ElfPlatform> {
        use ByteOrder::{Big, Little};
        use ElfClass::{Bits32, Bits64};
        let is_arm = self.machine == elf::EM_ARM.0;
        match elf::OsAbi(self.os_abi) {
            elf::ELFOSABI_SYSV | elf::ELFOSABI_GNU => {}
            elf::ELFOSABI_ARM_AEABI | elf::ELFOSABI_ARM if is_arm => {}
            _ => return None,
        }
        let (architecture, variant) =
            match (elf::Machine(self.machine), self.class, self.byte_order) {
                // x32 has narrow addresses, but needs a 64-bit kernel all the same.
                (elf::EM_X86_64, _, Little) => ("amd64", None),
                (elf::EM_386, Bits32, Little) => ("386", None),
                (elf::EM_AARCH64, Bits64, Little) => ("arm64", Some("v8")),
                (elf::EM_ARM, Bits32, Little) => ("arm", Some(self.arm_variant()?)),
                (elf::EM_PPC64, Bits64, Little) => ("ppc64le", None),
                (elf::EM_PPC64, Bits64, Big) => ("ppc64", None),
                (elf::EM_S390, Bits64, Big) => ("s390x", None),
                (elf::EM_RISCV, Bits64, Little) => ("riscv64", None),
                (elf::EM_LOONGARCH, Bits64, Little) => ("loong64", None),
                (elf::EM_MIPS, Bits64, Little) => ("mips64le", None),
                (elf::EM_MIPS, Bits64, Big) => ("mips64", None),
                (elf::EM_MIPS, Bits32, _) if self.is_mips_n32() => return None,
                (elf::EM_MIPS, Bits32, Little) => ("mipsle", None),
                (elf::EM_MIPS, Bits32, Big) => ("mips", None),
                _ => return None,
            };
        Some(ElfPlatform { os: "linux", architecture, variant })
    }

    /// Whether the file is for the x32 ABI: x86-64 code with 32-bit addresses,
    /// which few kernels are built for (`CONFIG_X86_X32_ABI`).
    pub fn is_x32(&self) -> bool {
        self.machine == elf::EM_X86_64.0 && self.class == ElfClass::Bits32
    }

    /// The least ARM that runs the file. The attributes say it, but stand at the
    /// end of a file, mostly out of sight; then the flags have to do: hard float
    /// is v7 with every distribution but Raspbian, whose v6 cannot be told from
    /// it, and soft float is v5, Debian's armel. `None` for the ABI before EABI.
    fn arm_variant(&self) -> Option<&'static str> {
        if self.flags & elf::EF_ARM_EABIMASK == 0 {
            return None;
        }
        Some(match self.arm_cpu.map(arm::variant) {
            Some(variant) => variant,
            None if self.flags & elf::EF_ARM_ABI_FLOAT_HARD != 0 => "v7",
            None => "v5",
        })
    }

    fn is_mips_n32(&self) -> bool {
        self.flags & elf::EF_MIPS_ABI2.0 != 0
    }
}

/// The fields of the file header that are of use here.
struct Header {
    machine: u16,
    flags: u32,
    program_headers: Table,
    section_headers: Table,
}

/// A table of headers in the file.
struct Table {
    offset: u64,
    entry_size: u16,
    count: u16,
}

/// The bytes at hand, and how to read numbers from them.
struct Image<'a> {
    bytes: &'a [u8],
    class: ElfClass,
    byte_order: ByteOrder,
}

impl<'a> Image<'a> {
    fn header(&self) -> Option<Header> {
        // From `e_flags` on, the fields lie 12 bytes further with wide addresses.
        let shift = self.pick(0, 12);
        Some(Header {
            machine: self.half(18)?,
            flags: self.word(36 + shift)?,
            program_headers: Table {
                offset: self.address(self.pick(28, 32))?,
                entry_size: self.half(42 + shift)?,
                count: self.half(44 + shift)?,
            },
            section_headers: Table {
                offset: self.address(self.pick(32, 40))?,
                entry_size: self.half(46 + shift)?,
                count: self.half(48 + shift)?,
            },
        })
    }

    /// `None` where the answer cannot be seen.
    fn interpreter(&self, header: &Header) -> Option<Interpreter> {
        let table = &header.program_headers;
        if table.count == 0 {
            return Some(Interpreter::Absent);
        }
        let has_known_size = u64::from(table.entry_size) == self.pick(32, 56);
        // With PN_XNUM the true count is elsewhere.
        if !has_known_size || table.count == elf::PN_XNUM {
            return None;
        }
        for entry in table.entries() {
            let entry = entry?;
            if self.word(entry)? == elf::PT_INTERP.0 {
                let offset = self.address(entry.checked_add(self.pick(4, 8))?)?;
                let size = self.address(entry.checked_add(self.pick(16, 32))?)?;
                return interpreter_path(self.slice(offset, size)?);
            }
        }
        Some(Interpreter::Absent)
    }

    fn arm_attributes(&self, header: &Header) -> Option<u64> {
        let table = &header.section_headers;
        if table.entry_size != 40 {
            return None;
        }
        for entry in table.entries() {
            let entry = entry?;
            if self.word(entry.checked_add(4)?)? == elf::SHT_ARM_ATTRIBUTES.0 {
                let offset = self.address(entry.checked_add(16)?)?;
                let size = self.address(entry.checked_add(20)?)?;
                return arm::cpu_architecture(self.slice(offset, size)?, self.byte_order);
            }
        }
        None
    }

    fn pick(&self, narrow: u64, wide: u64) -> u64 {
        match self.class {
            ElfClass::Bits32 => narrow,
            ElfClass::Bits64 => wide,
        }
    }

    fn slice(&self, offset: u64, size: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        self.bytes.get(start..end)
    }

    fn half(&self, offset: u64) -> Option<u16> {
        let bytes = self.slice(offset, 2)?.try_into().ok()?;
        Some(match self.byte_order {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        })
    }

    fn word(&self, offset: u64) -> Option<u32> {
        self.byte_order.word(self.slice(offset, 4)?)
    }

    fn address(&self, offset: u64) -> Option<u64> {
        if self.class == ElfClass::Bits32 {
            return self.word(offset).map(u64::from);
        }
        let bytes = self.slice(offset, 8)?.try_into().ok()?;
        Some(match self.byte_order {
            ByteOrder::Little => u64::from_le_bytes(bytes),
            ByteOrder::Big => u64::from_be_bytes(bytes),
        })
    }
}

impl Table {
    /// The offsets of the entries; `None` for one that no file can hold.
    fn entries(&self) -> impl Iterator<Item = Option<u64>> {
        let (offset, size) = (self.offset, u64::from(self.entry_size));
        (0..u64::from(self.count)).map(move |index| offset.checked_add(index * size))
    }
}

impl ByteOrder {
    /// The number in four bytes; `None` for any other count of them.
    fn word(self, bytes: &[u8]) -> Option<u32> {
        let bytes = bytes.try_into().ok()?;
        Some(match self {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        })
    }
}

/// The path in a `PT_INTERP` segment, if the kernel would take it: ended by a
/// NUL, not empty, at most `PATH_MAX` bytes (`load_elf_binary`).
fn interpreter_path(segment: &[u8]) -> Option<Interpreter> {
    let path = segment.strip_suffix(b"\0").filter(|_| segment.len() <= 4096)?;
    let path = path.split(|&byte| byte == 0).next().filter(|path| !path.is_empty())?;
    Some(Interpreter::Path(path.to_vec()))
}

fn malformed(what: impl std::fmt::Display) -> Error {
    Error::invalid(format!("ELF header {what}"))
}

#[cfg(test)]
mod tests;
