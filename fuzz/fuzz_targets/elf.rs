//! Gives the fuzzer's inputs to `elf`, which the library beside this describes.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| envbox_fuzz::run("elf", input));
