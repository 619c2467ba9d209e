//! Makes a program of [`REFUSED_CALLS`](crate::refused_calls::REFUSED_CALLS) that the kernel runs
//! before each system call: a seccomp filter, in classic BPF.
//!
//! The kernel runs it once for each call there is when it is installed, to remember the calls that
//! are always allowed. So the numbers are searched in a tree, and not one after the other: a start
//! waits for that.

use crate::refused_calls::{RefusedCall, Test};

/// An instruction as the kernel reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip if a comparison holds.
    pub if_true: u8,
    /// How many if not.
    pub if_false: u8,
    /// A constant.
    pub operand: u32,
}

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const ALLOW: u32 = 0x7fff_0000; // SECCOMP_RET_ALLOW
const END_PROCESS: u32 = 0x8000_0000; // SECCOMP_RET_KILL_PROCESS
const ERRNO: u32 = 0x0005_0000; // SECCOMP_RET_ERRNO

/// Where the kernel puts the call's number, its architecture and its arguments (`struct
/// seccomp_data`).
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;
const ARGUMENT_BYTES: u32 = 8;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e; // AUDIT_ARCH_X86_64
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7; // AUDIT_ARCH_AARCH64

/// From this number on the calls are those of x32 on x86-64, and no calls elsewhere.
const OF_ANOTHER_KIND: u32 = 0x4000_0000;

/// The program that refuses these calls. A process that makes a call of another architecture, or of
/// x32, is ended: its numbers mean other calls.
pub fn program(refused: &[RefusedCall]) -> Vec<Instruction> {
    let mut sorted = refused.to_vec();
    // Stable, so calls of one number stay in their order.
    sorted.sort_by_key(|call| call.number);
    let by_number: Vec<&[RefusedCall]> =
        sorted.chunk_by(|one, next| one.number == next.number).collect();
    let mut program = vec![
        load(ARCHITECTURE_AT),
        branch(IF_EQUAL, ARCHITECTURE, 1, 0),
        end(END_PROCESS),
        load(NUMBER_AT),
        branch(IF_AT_LEAST, OF_ANOTHER_KIND, 0, 1),
        end(END_PROCESS),
    ];
    program.extend(search(&by_number));
    program
}

/// Finds out which of these numbers the call has.
fn search(by_number: &[&[RefusedCall]]) -> Vec<Instruction> {
    let (left, right) = by_number.split_at(by_number.len() / 2);
    match (left, right) {
        (_, []) => vec![end(ALLOW)],
        ([], [calls, ..]) => {
            let answer = answer(calls);
            let unless = branch(IF_EQUAL, calls[0].number, 1, 0);
            [vec![unless, jump(answer.len() - 1)], answer].concat()
        }
        (_, [middle, ..]) => {
            let (left, right) = (search(left), search(right));
            let choose = branch(IF_AT_LEAST, middle[0].number, 0, 1);
            [vec![choose, jump(left.len())], left, right].concat()
        }
    }
}

/// Refuses or allows a call of this number; the last instruction allows it.
fn answer(calls: &[RefusedCall]) -> Vec<Instruction> {
    let mut answer = Vec::new();
    for call in calls {
        let refusal = end(ERRNO | call.errno.cast_unsigned());
        // From the last test to the first, since each skips what follows it if it does not hold.
        let refuse = call.when.iter().rev().fold(vec![refusal], |rest, test| {
            let mut tested = check(test, rest.len());
            tested.extend(rest);
            tested
        });
        answer.extend(refuse);
    }
    answer.push(end(ALLOW));
    answer
}

/// Goes on with the next instruction if the test holds, and skips as many if not.
fn check(test: &Test, skipped: usize) -> Vec<Instruction> {
    let mut check = vec![load(ARGUMENTS_AT + u32::from(test.argument) * ARGUMENT_BYTES)];
    if test.mask != u32::MAX {
        check.push(Instruction { code: AND, if_true: 0, if_false: 0, operand: test.mask });
    }
    // After the comparisons come two jumps: one for a value that was found, one for none.
    let count = test.values.len();
    let found = |index: usize| u8::try_from(count - index).expect("few values");
    check.extend(
        test.values
            .iter()
            .enumerate()
            .map(|(index, value)| branch(IF_EQUAL, *value, found(index), 0)),
    );
    let (if_none, if_found) = if test.is_one { (skipped + 1, 0) } else { (1, skipped) };
    check.extend([jump(if_none), jump(if_found)]);
    check
}

fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD, if_true: 0, if_false: 0, operand: offset }
}

fn branch(code: u16, operand: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, operand }
}

fn jump(skipped: usize) -> Instruction {
    let operand = u32::try_from(skipped).expect("a short program");
    Instruction { code: JUMP, if_true: 0, if_false: 0, operand }
}

fn end(answer: u32) -> Instruction {
    Instruction { code: RETURN, if_true: 0, if_false: 0, operand: answer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refused_calls::REFUSED_CALLS;

    /// What the kernel finds in a call.
    #[derive(Clone, Copy, Debug)]
    struct Call {
        architecture: u32,
        number: u32,
        arguments: [u32; 6],
    }

    /// Runs a program as the kernel does.
    fn run(program: &[Instruction], call: Call) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let Instruction { code, if_true, if_false, operand } = program[at];
            at += 1;
            let mut branch =
                |holds: bool| at += usize::from(if holds { if_true } else { if_false });
            match code {
                LOAD => {
                    value = match operand {
                        NUMBER_AT => call.number,
                        ARCHITECTURE_AT => call.architecture,
                        _ => {
                            let index = (operand - ARGUMENTS_AT) / ARGUMENT_BYTES;
                            call.arguments[index as usize]
                        }
                    }
                }
                AND => value &= operand,
                JUMP => at += operand as usize,
                IF_EQUAL => branch(value == operand),
                IF_AT_LEAST => branch(value >= operand),
                RETURN => return operand,
                _ => panic!("no such instruction: {code:#x}"),
            }
        }
    }

    /// What the list says, read without a program.
    fn expected(call: Call) -> u32 {
        let holds = |test: &Test| {
            let argument = call.arguments[usize::from(test.argument)] & test.mask;
            test.values.contains(&argument) == test.is_one
        };
        let refused = REFUSED_CALLS
            .iter()
            .find(|refused| refused.number == call.number && refused.when.iter().all(holds));
        refused.map_or(ALLOW, |refused| ERRNO | refused.errno.cast_unsigned())
    }

    #[test]
    fn the_program_says_what_the_list_says() {
        let program = program(REFUSED_CALLS);
        let mut values: Vec<u32> = REFUSED_CALLS
            .iter()
            .flat_map(|call| call.when)
            .flat_map(|test| test.values)
            .copied()
            .collect();
        values.extend([0, 1, 7, 0x100, 0x2000_0000, 0o020_666, u32::MAX]);
        values.sort_unstable();
        values.dedup();
        for number in (0..600).chain([OF_ANOTHER_KIND - 1]) {
            for (first, second) in
                values.iter().flat_map(|one| values.iter().map(move |two| (one, two)))
            {
                for third in [0, 262, 0o020_000, u32::MAX] {
                    let arguments = [*first, *second, third, 0, 0, 0];
                    let call = Call { architecture: ARCHITECTURE, number, arguments };
                    assert_eq!(run(&program, call), expected(call), "{call:?}");
                }
            }
        }
    }

    #[test]
    fn calls_of_another_kind_end_the_process() {
        let program = program(REFUSED_CALLS);
        let arguments = [0; 6];
        for number in [0, 39, 425, OF_ANOTHER_KIND | 39] {
            let foreign = Call { architecture: 0x4000_0003, number, arguments };
            assert_eq!(run(&program, foreign), END_PROCESS);
        }
        let x32 = Call { architecture: ARCHITECTURE, number: OF_ANOTHER_KIND | 39, arguments };
        assert_eq!(run(&program, x32), END_PROCESS);
    }

    #[test]
    fn it_is_short_enough_for_the_kernel() {
        const KERNELS_MAX: usize = 4_096;
        let length = program(REFUSED_CALLS).len();
        assert!(length < KERNELS_MAX / 4, "{length}");
    }
}
