//! The compiler from a policy to a program of classic BPF. Shared with the
//! build script, so it uses nothing but `std`.
//!
//! The program first tells the calling conventions apart, then finds the
//! number in a balanced tree over the ranges of numbers that are answered
//! alike, then looks at arguments where a rule asks for them. It is written
//! from its end to its start: all jumps of classic BPF go forward, so every
//! target is known when the jump to it is made. The distance of a conditional
//! jump is eight bits; a farther target is reached through a `ja` right
//! behind the jump.
//!
//! Nothing here tunes for frequent calls: since Linux 5.11 the kernel
//! remembers which numbers are allowed whatever their arguments are, and runs
//! no filter for them.

use super::policy::{Abi, Action, ENOSYS, Policy, Rule, Subject, Syscall, Test};

/// The greatest length that the kernel takes (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// One instruction, laid out as the kernel's `struct sock_filter` of
/// `include/uapi/linux/filter.h`: 8 bytes, native byte order. A slice of them
/// may be handed to the kernel as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SockFilter {
    /// The operation.
    pub code: u16,
    /// How many instructions to skip when the comparison is true.
    pub jt: u8,
    /// How many to skip when it is false.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// Loads the 32-bit word at offset `k` of `struct seccomp_data`.
pub const LOAD: u16 = 0x20;
/// Keeps the bits of `k`.
pub const AND: u16 = 0x54;
/// Skips `k` instructions.
pub const JUMP: u16 = 0x05;
/// Branches on equality with `k`.
pub const JUMP_EQUAL: u16 = 0x15;
/// Branches on being greater than `k`, unsigned.
pub const JUMP_GREATER: u16 = 0x25;
/// Branches on being at least `k`, unsigned.
pub const JUMP_AT_LEAST: u16 = 0x35;
/// Ends with the answer `k`.
pub const RETURN: u16 = 0x06;

/// Offset of the number in `struct seccomp_data`.
pub const NUMBER_OFFSET: u32 = 0;
/// Offset of the convention.
pub const ARCH_OFFSET: u32 = 4;
/// Offset of the first argument; each has 8 bytes, the low half first (every
/// machine here is little-endian).
pub const ARGUMENTS_OFFSET: u32 = 16;

/// The first number of the x32 convention, which shares `AUDIT_ARCH_X86_64`
/// with the 64-bit one.
pub const X32_BIT: u32 = 0x4000_0000;

/// The numbers of a convention that this version knows, ascending.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The convention.
    pub abi: Abi,
    /// Its numbers.
    pub numbers: &'a [u32],
}

/// Compiles `policy` for `subject`. The calls in `succeed` answer success
/// without being performed, whatever the policy says.
///
/// A number that no table knows, or that is newer than every call that the
/// policy names, answers `ENOSYS` (unless the policy allows by default): a
/// policy cannot have meant it, and programs fall back from `ENOSYS` but not
/// from `EPERM`. x32 numbers always answer `ENOSYS`.
pub fn emit(
    policy: &Policy,
    known: &[Known<'_>],
    subject: &Subject,
    succeed: &[Syscall],
) -> Vec<SockFilter> {
    let rules: Vec<&Rule> = policy
        .rules
        .iter()
        .filter(|rule| rule.action != policy.default_action && rule.condition.holds(subject))
        .collect();
    let mut code = Assembler::default();
    let mut dispatch = Vec::new();
    for table in known.iter().filter(|table| policy.abis.contains(&table.abi)).rev() {
        let segments = segments(policy, &rules, table, succeed);
        let tree = code.tree(&segments, table.abi, policy.default_action);
        dispatch.push((table.abi, code.after_load(NUMBER_OFFSET, tree)));
    }
    let mut next = Target::Return(Action::KillProcess.return_value());
    for (abi, block) in dispatch {
        let branch = Branch { yes: block, no: next };
        next = code.branch(Comparison::equal(abi.audit_arch()), branch);
    }
    code.finish(next)
}

/// What is answered to a run of numbers that starts at `start`.
#[derive(Debug, PartialEq)]
struct Segment<'a> {
    start: u32,
    verdict: Verdict<'a>,
}

#[derive(Debug, PartialEq)]
enum Verdict<'a> {
    Always(Action),
    /// The first rule whose tests are met.
    Judge(Vec<(&'a [Test], Action)>),
}

/// Divides all numbers of a convention into runs that are answered alike.
fn segments<'a>(
    policy: &Policy,
    rules: &[&'a Rule],
    table: &Known<'_>,
    succeed: &[Syscall],
) -> Vec<Segment<'a>> {
    let default = policy.default_action;
    let unknown = if default.is_permissive() { default } else { Action::Errno(ENOSYS) };
    let newest = newest(policy, table.abi);
    let mentions = mentions(rules, table.abi);
    let mut mentions = mentions.as_slice();
    let mut runs = Vec::new();
    let mut next = 0;
    for &number in table.numbers {
        let mine;
        (mine, mentions) = mentions.split_at(mentions.partition_point(|&(n, _)| n <= number));
        let verdict = if succeed.contains(&Syscall(table.abi, number)) {
            Verdict::Always(Action::Errno(0))
        } else if newest.is_none_or(|newest| number > newest) {
            Verdict::Always(unknown)
        } else {
            verdict(mine, default)
        };
        if number > next {
            extend(&mut runs, next, Verdict::Always(unknown));
        }
        extend(&mut runs, number, verdict);
        next = number + 1;
    }
    extend(&mut runs, next, Verdict::Always(unknown));
    if table.abi == Abi::X86_64 {
        extend(&mut runs, X32_BIT, Verdict::Always(Action::Errno(ENOSYS)));
    }
    runs
}

/// The greatest number that the policy names, whether the rule stands or not.
fn newest(policy: &Policy, abi: Abi) -> Option<u32> {
    let all = policy.rules.iter().flat_map(|rule| rule.syscalls.iter());
    all.filter(|syscall| syscall.0 == abi).map(|syscall| syscall.1).max()
}

/// The rules of each number, ordered by number, then as in the policy.
fn mentions<'a>(rules: &[&'a Rule], abi: Abi) -> Vec<(u32, &'a Rule)> {
    let mut all = Vec::new();
    for &rule in rules {
        let numbers = rule.syscalls.iter().filter(|syscall| syscall.0 == abi);
        all.extend(numbers.map(|syscall| (syscall.1, rule)));
    }
    all.sort_by_key(|&(number, _)| number);
    all
}

fn verdict<'a>(rules: &[(u32, &'a Rule)], default: Action) -> Verdict<'a> {
    if rules.is_empty() {
        return Verdict::Always(default);
    }
    match rules.iter().find(|(_, rule)| rule.tests.is_empty()) {
        Some((_, rule)) => Verdict::Always(rule.action),
        None => Verdict::Judge(rules.iter().map(|(_, rule)| (&*rule.tests, rule.action)).collect()),
    }
}

/// Adds a run, unless the one before it goes on.
fn extend<'a>(runs: &mut Vec<Segment<'a>>, start: u32, verdict: Verdict<'a>) {
    if runs.last().is_none_or(|last| last.verdict != verdict) {
        runs.push(Segment { start, verdict });
    }
}

/// Where a jump goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    /// The instruction with this index from the end.
    Label(usize),
    /// An answer.
    Return(u32),
}

#[derive(Clone, Copy, Debug)]
struct Branch {
    yes: Target,
    no: Target,
}

impl Branch {
    fn swapped(self) -> Self {
        Self { yes: self.no, no: self.yes }
    }
}

/// A comparison of the accumulator with a constant.
#[derive(Clone, Copy)]
struct Comparison {
    code: u16,
    k: u32,
}

impl Comparison {
    fn equal(k: u32) -> Self {
        Self { code: JUMP_EQUAL, k }
    }

    fn at_least(k: u32) -> Self {
        Self { code: JUMP_AT_LEAST, k }
    }

    fn greater(k: u32) -> Self {
        Self { code: JUMP_GREATER, k }
    }

    /// Whether zero compares so.
    fn holds_for_zero(self) -> bool {
        self.code != JUMP_GREATER && self.k == 0
    }
}

/// Half an argument, and the bits of it that count.
#[derive(Clone, Copy)]
struct Half {
    offset: u32,
    mask: u32,
}

/// An argument, and the bits of it that count.
#[derive(Clone, Copy)]
struct Operand {
    argument: u8,
    mask: u64,
}

impl Operand {
    fn low(self) -> Half {
        Half { offset: self.offset(), mask: self.mask as u32 }
    }

    fn high(self) -> Half {
        Half { offset: self.offset() + 4, mask: (self.mask >> 32) as u32 }
    }

    fn offset(self) -> u32 {
        ARGUMENTS_OFFSET + 8 * u32::from(self.argument)
    }
}

/// A program in the making, last instruction first.
#[derive(Default)]
struct Assembler {
    reversed: Vec<SockFilter>,
    /// The newest `ret` of each answer.
    returns: Vec<(u32, usize)>,
}

impl Assembler {
    fn finish(mut self, first: Target) -> Vec<SockFilter> {
        match first {
            Target::Return(value) => self.push(RETURN, value),
            Target::Label(_) => self.push(LOAD, ARCH_OFFSET),
        };
        self.reversed.reverse();
        self.reversed
    }

    /// Finds the number, which the accumulator holds, among `segments`.
    fn tree(&mut self, segments: &[Segment<'_>], abi: Abi, default: Action) -> Target {
        if let [only] = segments {
            return match &only.verdict {
                Verdict::Always(action) => Target::Return(action.return_value()),
                Verdict::Judge(rules) => self.judge(rules, abi, default),
            };
        }
        let (left, right) = segments.split_at(segments.len() / 2);
        let yes = self.tree(right, abi, default);
        let no = self.tree(left, abi, default);
        self.branch(Comparison::at_least(right[0].start), Branch { yes, no })
    }

    /// Answers by the first of `rules` whose tests are all met.
    fn judge(&mut self, rules: &[(&[Test], Action)], abi: Abi, default: Action) -> Target {
        let mut otherwise = Target::Return(default.return_value());
        for (tests, action) in rules.iter().rev() {
            let mut met = Target::Return(action.return_value());
            for test in tests.iter().rev() {
                met = self.test(test, abi, Branch { yes: met, no: otherwise });
            }
            otherwise = met;
        }
        otherwise
    }

    fn test(&mut self, test: &Test, abi: Abi, branch: Branch) -> Target {
        let branch = if test.inside { branch } else { branch.swapped() };
        let operand = Operand { argument: test.argument, mask: test.mask & abi.argument_mask() };
        if test.low > test.high {
            return branch.no;
        }
        if test.low == test.high {
            return self.equal(operand, test.low, branch);
        }
        let up_to_high = match test.high.checked_add(1) {
            Some(beyond) => self.at_least(operand, beyond, branch.swapped()),
            None => branch.yes,
        };
        self.at_least(operand, test.low, Branch { yes: up_to_high, no: branch.no })
    }

    fn equal(&mut self, operand: Operand, value: u64, branch: Branch) -> Target {
        let yes = self.compare(operand.low(), Comparison::equal(value as u32), branch);
        let high = Comparison::equal((value >> 32) as u32);
        self.compare(operand.high(), high, Branch { yes, no: branch.no })
    }

    fn at_least(&mut self, operand: Operand, bound: u64, branch: Branch) -> Target {
        if bound == 0 {
            return branch.yes;
        }
        let high = (bound >> 32) as u32;
        let by_low = self.compare(operand.low(), Comparison::at_least(bound as u32), branch);
        if high == 0 {
            let is_small = Branch { yes: by_low, no: branch.yes };
            return self.compare(operand.high(), Comparison::equal(0), is_small);
        }
        if operand.high().mask == 0 {
            return branch.no;
        }
        // The second comparison finds the high half still loaded.
        let is_equal = Branch { yes: by_low, no: branch.no };
        let not_greater = self.branch(Comparison::equal(high), is_equal);
        let is_greater = Branch { yes: branch.yes, no: not_greater };
        self.compare(operand.high(), Comparison::greater(high), is_greater)
    }

    /// Compares half an argument with a constant; decides on the spot where
    /// no bit of it counts.
    fn compare(&mut self, half: Half, comparison: Comparison, branch: Branch) -> Target {
        if half.mask == 0 {
            return if comparison.holds_for_zero() { branch.yes } else { branch.no };
        }
        if branch.yes == branch.no {
            return branch.yes;
        }
        let target = self.branch(comparison, branch);
        if half.mask != u32::MAX {
            self.push(AND, half.mask);
        }
        self.after_load(half.offset, target)
    }

    /// Loads a word for the comparison that was made last; an answer needs
    /// none.
    fn after_load(&mut self, offset: u32, target: Target) -> Target {
        match target {
            Target::Return(_) => target,
            Target::Label(_) => self.push(LOAD, offset),
        }
    }

    /// Branches on the accumulator.
    fn branch(&mut self, comparison: Comparison, branch: Branch) -> Target {
        if branch.yes == branch.no {
            return branch.yes;
        }
        let yes = self.within_reach(branch.yes);
        let no = self.within_reach(branch.no);
        let here = self.reversed.len();
        let distance = |label: usize| (here - label - 1) as u8;
        let Comparison { code, k } = comparison;
        self.reversed.push(SockFilter { code, jt: distance(yes), jf: distance(no), k });
        Target::Label(here)
    }

    /// An instruction that leads to `target` and that a branch made next, or
    /// after one more instruction, can reach.
    fn within_reach(&mut self, target: Target) -> usize {
        let here = self.reversed.len();
        let is_near = |label: usize| here - label <= usize::from(u8::MAX);
        match target {
            Target::Label(label) if is_near(label) => label,
            Target::Label(label) => {
                self.push(JUMP, (here - label - 1) as u32);
                here
            }
            Target::Return(value) => {
                let near = self.returns.iter().find(|&&(v, label)| v == value && is_near(label));
                if let Some(&(_, label)) = near {
                    return label;
                }
                self.returns.retain(|&(v, _)| v != value);
                self.returns.push((value, here));
                self.push(RETURN, value);
                here
            }
        }
    }

    fn push(&mut self, code: u16, k: u32) -> Target {
        self.reversed.push(SockFilter { code, jt: 0, jf: 0, k });
        Target::Label(self.reversed.len() - 1)
    }
}
