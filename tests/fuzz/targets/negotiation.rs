#![cfg_attr(openmetrics_fuzzing, no_main)]

#[cfg(openmetrics_fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::negotiation::run(input));

#[cfg(not(openmetrics_fuzzing))]
fn main() -> std::io::Result<()> {
    fuzz::replay(fuzz::negotiation::run)
}
