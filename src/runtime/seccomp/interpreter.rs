//! A classic BPF machine for the tests: the instructions that the emitter
//! uses, and the checks that the kernel makes on loading.

use super::emit::{
    AND, ARCH_OFFSET, ARGUMENTS_OFFSET, JUMP, JUMP_AT_LEAST, JUMP_EQUAL, JUMP_GREATER, LOAD,
    MAX_INSTRUCTIONS, NUMBER_OFFSET, RETURN, SockFilter,
};
use super::policy::Abi;

/// A system call as the filter sees it: `struct seccomp_data`, but for the
/// instruction pointer.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub arch: u32,
    pub number: u32,
    pub arguments: [u64; 6],
}

impl Call {
    pub fn new(abi: Abi, number: u32, arguments: &[u64]) -> Self {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        Self { arch: abi.audit_arch(), number, arguments: all }
    }

    fn word(&self, offset: u32) -> u32 {
        match offset {
            NUMBER_OFFSET => self.number,
            ARCH_OFFSET => self.arch,
            _ => {
                assert!((ARGUMENTS_OFFSET..ARGUMENTS_OFFSET + 48).contains(&offset));
                let place = offset - ARGUMENTS_OFFSET;
                let argument = self.arguments[(place / 8) as usize];
                match place % 8 {
                    0 => argument as u32,
                    4 => (argument >> 32) as u32,
                    _ => panic!("unaligned load at {offset}"),
                }
            }
        }
    }
}

/// Runs the program; gives the filter's return value.
pub fn run(program: &[SockFilter], call: &Call) -> u32 {
    let mut accumulator = None;
    let mut at = 0;
    loop {
        let SockFilter { code, jt, jf, k } = program[at];
        at += 1;
        let holds = |compare: fn(u32, u32) -> bool| {
            let left = accumulator.expect("the accumulator is loaded before it is compared");
            usize::from(if compare(left, k) { jt } else { jf })
        };
        match code {
            LOAD => accumulator = Some(call.word(k)),
            AND => accumulator = accumulator.map(|value| value & k),
            JUMP => at += k as usize,
            JUMP_EQUAL => at += holds(|a, k| a == k),
            JUMP_GREATER => at += holds(|a, k| a > k),
            JUMP_AT_LEAST => at += holds(|a, k| a >= k),
            RETURN => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// Asserts what the kernel asks of a program on loading it
/// (`bpf_check_classic` of `net/core/filter.c`): jumps stay inside, and the
/// last instruction returns.
pub fn assert_loadable(program: &[SockFilter]) {
    assert!(!program.is_empty() && program.len() <= MAX_INSTRUCTIONS, "{}", program.len());
    assert_eq!(program[program.len() - 1].code, RETURN);
    for (at, one) in program.iter().enumerate() {
        let farthest = match one.code {
            JUMP => one.k as usize,
            JUMP_EQUAL | JUMP_GREATER | JUMP_AT_LEAST => one.jt.max(one.jf).into(),
            _ => 0,
        };
        let is_last = one.code == RETURN;
        assert!(is_last || at + 1 + farthest < program.len(), "the jump at {at} leaves");
    }
}
