//! Asks a Python process, which lives as long as this process.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

struct Oracle {
    _process: Child,
    questions: ChildStdin,
    answers: ChildStdout,
}

static ORACLE: Mutex<Option<Oracle>> = Mutex::new(None);

/// Returns the answer to a list of texts. See `oracle.py` for the questions.
///
/// # Panics
///
/// Panics if the process can't be started or has ended. Its own error is on standard error.
pub(crate) fn ask(question: &[&[u8]]) -> String {
    let mut oracle = ORACLE.lock().expect("no panic while it was asked");
    oracle.get_or_insert_with(Oracle::start).ask(question)
}

/// Packs a list of texts: their number, then each text after its length.
pub(crate) fn packed<'a>(texts: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut packed = length(texts.len()).to_vec();
    for text in texts {
        packed.extend(length(text.len()));
        packed.extend(text);
    }
    packed
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("not that long").to_be_bytes()
}

// === impl Oracle ===

impl Oracle {
    fn start() -> Self {
        let mut process = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed");
        Self {
            questions: process.stdin.take().expect("it is piped"),
            answers: process.stdout.take().expect("it is piped"),
            _process: process,
        }
    }

    fn ask(&mut self, question: &[&[u8]]) -> String {
        let question = packed(question.iter().copied());
        let message = [&length(question.len())[..], &question].concat();
        self.questions.write_all(&message).expect("it reads");
        let mut length = [0; 4];
        self.answers.read_exact(&mut length).expect("it answers");
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.answers.read_exact(&mut answer).expect("it answers");
        String::from_utf8(answer).expect("UTF-8")
    }
}
