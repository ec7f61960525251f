#![no_main]
//! Analysis of statements: any text is understood or says why, its statements lie in it, and what is taken out for the record is gone.

use libfuzzer_sys::fuzz_target;
use recall_gate::postgres::analysis::{Analysis, Strings, fingerprint, redact};

fuzz_target!(|text: &str| {
    for strings in [Strings::Standard, Strings::Backslash] {
        let analysis = Analysis::of(text, strings);
        assert!(analysis.why.is_none() || analysis.statements.is_empty());
        for statement in &analysis.statements {
            assert!(text.get(statement.span.clone()).is_some());
            assert!(!(statement.read_only && statement.opaque));
        }
        let _ = fingerprint(text, strings);
        let redacted = redact(text, strings);
        // A secret may be written as its replacement.
        assert!(!redacted.redactions.is_empty() || redacted.text == text);
    }
});
