//! A static program that makes the system calls it is told, as a hostile
//! command in a container would: `attacker NUMBER ARGUMENT... [then NUMBER
//! ...]`. An argument is a number, or `@TEXT` for the address of a text. Each
//! call's outcome is a line: `returned N` or `errno N`.

use std::ffi::CString;

unsafe extern "C" {
    fn syscall(number: i64, ...) -> i64;
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    for call in words.split(|word| word == "then") {
        // The texts live until the call is over.
        let texts: Vec<Option<CString>> = call
            .iter()
            .map(|word| word.strip_prefix('@').and_then(|text| CString::new(text).ok()))
            .collect();
        let mut numbers = [0_i64; 7];
        for (slot, (word, text)) in numbers.iter_mut().zip(call.iter().zip(&texts)) {
            *slot = match text {
                Some(text) => text.as_ptr() as i64,
                None => word.parse().expect("a number"),
            };
        }
        let [number, a, b, c, d, e, f] = numbers;
        // SAFETY: none; it is an attacker. What it breaks is itself.
        let result = unsafe { syscall(number, a, b, c, d, e, f) };
        match result {
            -1 => {
                let error = std::io::Error::last_os_error();
                println!("errno {}", error.raw_os_error().unwrap_or_default());
            }
            number => println!("returned {number}"),
        }
    }
}
