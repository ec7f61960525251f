//! What a gateway takes from outside: time and randomness, so that tests choose both.

use std::sync::Arc;

use recall_log::time::Timestamp;

type Now = dyn Fn() -> Timestamp + Send + Sync;
type Random = dyn Fn(&mut [u8]) + Send + Sync;

/// Time and randomness.
#[derive(Clone)]
pub struct Seams {
    now: Arc<Now>,
    random: Arc<Random>,
}

impl Seams {
    /// `now` tells the time; `random` fills with cryptographically secure bytes.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static, random: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), random: Arc::new(random) }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.random)(&mut bytes);
        bytes
    }

    /// A new identifier: 128 random bits in hexadecimal digits.
    pub fn id(&self) -> String {
        self.bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
