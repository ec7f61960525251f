//! Bodies of PostgreSQL's messages around SCRAM: the list of mechanisms that a server offers, and what a client begins with.
//!
//! It must not know what the mechanisms do; continuation and final messages are the bare SCRAM text. PostgreSQL's manual, "Message
//! Formats", `AuthenticationSASL` and `SASLInitialResponse`.

use super::{MESSAGE_BYTES, ScramError, check_message};

/// Writes the list that follows the code of `AuthenticationSASL`.
pub fn write_mechanisms(mechanisms: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for mechanism in mechanisms {
        body.extend_from_slice(mechanism.as_bytes());
        body.push(0);
    }
    body.push(0);
    body
}

/// Reads that list. Names that are not ASCII are no mechanism that exists, and are left out.
pub fn read_mechanisms(body: &[u8]) -> Result<Vec<&str>, ScramError> {
    if body.len() > MESSAGE_BYTES {
        return Err(ScramError::TooLong);
    }
    let names = body.strip_suffix(&[0, 0]).ok_or(ScramError::Malformed("the list of mechanisms does not end"))?;
    Ok(names.split(|byte| *byte == 0).filter_map(|name| std::str::from_utf8(name).ok()).collect())
}

/// Writes the body of `SASLInitialResponse`.
pub fn write_initial_response(mechanism: &str, message: &str) -> Vec<u8> {
    // Own messages are far shorter than four gigabytes.
    let bytes = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [mechanism.as_bytes(), &[0], &bytes.to_be_bytes(), message.as_bytes()].concat()
}

/// Reads that body: the mechanism and the first message. A client that leaves the message out gains nothing, and is refused.
pub fn read_initial_response(body: &[u8]) -> Result<(&str, &[u8]), ScramError> {
    let mut parts = body.splitn(2, |byte| *byte == 0);
    let (Some(mechanism), Some(rest)) = (parts.next(), parts.next()) else {
        return Err(ScramError::Malformed("the mechanism's name does not end"));
    };
    let mechanism = std::str::from_utf8(mechanism).map_err(|_| ScramError::Mechanism)?;
    let (bytes, message) = rest.split_first_chunk().ok_or(ScramError::Malformed("it ends early"))?;
    check_message(message)?;
    if usize::try_from(u32::from_be_bytes(*bytes)) != Ok(message.len()) {
        return Err(ScramError::Malformed("its length is not the one it names"));
    }
    Ok((mechanism, message))
}

#[cfg(test)]
mod tests;
