//! The kernel's capabilities by number and name, and sets of them. The build
//! script includes this file to compile the seccomp policy, so it uses nothing
//! but `core`; it knows neither errors nor what a container gets.

/// Declares [`Capability`] from one list of (variant, number, name).
macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $name:literal,)*) => {
        /// A capability, numbered as in the kernel's
        /// `include/uapi/linux/capability.h`; see capabilities(7).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Capability {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Capability {
            /// Every capability, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kernel's name: `CAP_` and capitals.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

capabilities! {
    /// Change the owner of a file at will.
    Chown = 0 "CAP_CHOWN",
    /// Ignore the permission bits of files.
    DacOverride = 1 "CAP_DAC_OVERRIDE",
    /// Ignore the permission bits for reading and searching.
    DacReadSearch = 2 "CAP_DAC_READ_SEARCH",
    /// Act as the owner of any file.
    Fowner = 3 "CAP_FOWNER",
    /// Keep or set set-user-ID and set-group-ID bits of files of others.
    Fsetid = 4 "CAP_FSETID",
    /// Signal any process.
    Kill = 5 "CAP_KILL",
    /// Take any group ID.
    Setgid = 6 "CAP_SETGID",
    /// Take any user ID.
    Setuid = 7 "CAP_SETUID",
    /// Drop from the bounding set, add to the inheritable one.
    Setpcap = 8 "CAP_SETPCAP",
    /// Set the immutable and append-only flags of files.
    LinuxImmutable = 9 "CAP_LINUX_IMMUTABLE",
    /// Bind to ports below 1024.
    NetBindService = 10 "CAP_NET_BIND_SERVICE",
    /// Broadcast, listen to multicast (unused by the kernel).
    NetBroadcast = 11 "CAP_NET_BROADCAST",
    /// Configure interfaces, routes and the firewall.
    NetAdmin = 12 "CAP_NET_ADMIN",
    /// Open raw and packet sockets.
    NetRaw = 13 "CAP_NET_RAW",
    /// Lock memory.
    IpcLock = 14 "CAP_IPC_LOCK",
    /// Ignore the permissions of System V IPC objects.
    IpcOwner = 15 "CAP_IPC_OWNER",
    /// Load and unload kernel modules.
    SysModule = 16 "CAP_SYS_MODULE",
    /// Touch I/O ports and raw devices.
    SysRawio = 17 "CAP_SYS_RAWIO",
    /// Call chroot(2).
    SysChroot = 18 "CAP_SYS_CHROOT",
    /// Trace any process.
    SysPtrace = 19 "CAP_SYS_PTRACE",
    /// Switch process accounting.
    SysPacct = 20 "CAP_SYS_PACCT",
    /// Mount, set the host name, make namespaces, and much else.
    SysAdmin = 21 "CAP_SYS_ADMIN",
    /// Reboot, load another kernel.
    SysBoot = 22 "CAP_SYS_BOOT",
    /// Raise priorities, choose scheduler, memory nodes and affinity.
    SysNice = 23 "CAP_SYS_NICE",
    /// Exceed resource limits and quotas.
    SysResource = 24 "CAP_SYS_RESOURCE",
    /// Set the system's clock.
    SysTime = 25 "CAP_SYS_TIME",
    /// Configure and hang up terminals.
    SysTtyConfig = 26 "CAP_SYS_TTY_CONFIG",
    /// Make device nodes.
    Mknod = 27 "CAP_MKNOD",
    /// Take leases on files.
    Lease = 28 "CAP_LEASE",
    /// Write to the audit log.
    AuditWrite = 29 "CAP_AUDIT_WRITE",
    /// Configure auditing.
    AuditControl = 30 "CAP_AUDIT_CONTROL",
    /// Set file capabilities.
    Setfcap = 31 "CAP_SETFCAP",
    /// Override mandatory access control.
    MacOverride = 32 "CAP_MAC_OVERRIDE",
    /// Configure mandatory access control.
    MacAdmin = 33 "CAP_MAC_ADMIN",
    /// Read and configure the kernel's log.
    Syslog = 34 "CAP_SYSLOG",
    /// Set timers that wake the system.
    WakeAlarm = 35 "CAP_WAKE_ALARM",
    /// Keep the system from suspending.
    BlockSuspend = 36 "CAP_BLOCK_SUSPEND",
    /// Read the audit log by netlink multicast.
    AuditRead = 37 "CAP_AUDIT_READ",
    /// Use performance events.
    Perfmon = 38 "CAP_PERFMON",
    /// Load BPF programs.
    Bpf = 39 "CAP_BPF",
    /// Checkpoint and restore processes.
    CheckpointRestore = 40 "CAP_CHECKPOINT_RESTORE",
}

/// A set of capabilities: bit N stands for capability number N, as in the
/// kernel's `kernel_cap_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// Docker's default fourteen.
    pub const DEFAULT: Self = Self::of(&[
        Capability::AuditWrite,
        Capability::Chown,
        Capability::DacOverride,
        Capability::Fowner,
        Capability::Fsetid,
        Capability::Kill,
        Capability::Mknod,
        Capability::NetBindService,
        Capability::NetRaw,
        Capability::Setfcap,
        Capability::Setgid,
        Capability::Setpcap,
        Capability::Setuid,
        Capability::SysChroot,
    ]);

    /// The set of the listed capabilities.
    pub const fn of(list: &[Capability]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < list.len() {
            bits |= 1 << list[index] as u64;
            index += 1;
        }
        Self::from_bits(bits)
    }

    /// The set with the given bits, as the kernel prints them in
    /// `/proc/PID/status`.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits of the set.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether every capability of `other` is in this set.
    pub const fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether this set and `other` share a capability.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
