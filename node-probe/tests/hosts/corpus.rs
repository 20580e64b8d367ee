//! The corpus of the machine's texts that are fuzzed, and changes of them.

#[path = "../../fuzz/bodies/machine_texts.rs"]
mod machine_texts;
#[path = "../../../reports/record/fuzz/replay.rs"]
mod replay;

#[test]
fn a_machine_with_any_text_is_read_or_says_why_not() {
    replay::replay("machine_texts", 300, machine_texts::check);
}
