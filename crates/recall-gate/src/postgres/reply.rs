//! Messages that the gateway itself says to a client: errors with their SQLSTATE and what to do, and the few of the beginning.
//!
//! It must not know why.

use super::wire;

/// SQLSTATE codes (PostgreSQL documentation, appendix A).
pub mod sqlstate {
    /// insufficient_privilege
    pub const DENIED: &str = "42501";
    /// protocol_violation
    pub const PROTOCOL: &str = "08P01";
    /// connection_failure
    pub const UPSTREAM: &str = "08006";
    /// sqlclient_unable_to_establish_sqlconnection
    pub const UNREACHABLE: &str = "08001";
    /// io_error
    pub const RECORD: &str = "58030";
    /// disk_full
    pub const DISK_FULL: &str = "53100";
    /// too_many_connections
    pub const TOO_MANY: &str = "53300";
    /// program_limit_exceeded
    pub const LIMIT: &str = "54000";
    /// invalid_authorization_specification
    pub const AUTHORIZATION: &str = "28000";
    /// invalid_catalog_name
    pub const DATABASE: &str = "3D000";
    /// feature_not_supported
    pub const UNSUPPORTED: &str = "0A000";
    /// admin_shutdown
    pub const SHUTDOWN: &str = "57P01";
}

/// What went wrong, for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complaint<'a> {
    /// `ERROR` leaves the session usable, `FATAL` ends it.
    pub severity: &'static str,
    /// SQLSTATE.
    pub code: &'a str,
    /// One sentence.
    pub message: &'a str,
    /// What to do.
    pub hint: &'a str,
}

/// ErrorResponse.
pub fn error(out: &mut Vec<u8>, complaint: Complaint<'_>) {
    wire::write(out, b'E', |out| {
        let fields = [
            (b'S', complaint.severity),
            (b'V', complaint.severity),
            (b'C', complaint.code),
            (b'M', complaint.message),
            (b'H', complaint.hint),
        ];
        for (kind, text) in fields.into_iter().filter(|(_, text)| !text.is_empty()) {
            out.push(kind);
            wire::write_text(out, text.as_bytes());
        }
        out.push(0);
    });
}

/// The SQLSTATE of an ErrorResponse that upstream sent.
pub fn code_of(body: &[u8]) -> &str {
    let mut fields = wire::Fields(body);
    while let (Ok(kind @ 1..), Ok(text)) = (fields.byte(), fields.text()) {
        if kind == b'C' {
            let plain = text.len() == 5 && text.iter().all(u8::is_ascii_alphanumeric);
            return std::str::from_utf8(text).ok().filter(|_| plain).unwrap_or_default();
        }
    }
    ""
}

#[cfg(test)]
mod tests;
