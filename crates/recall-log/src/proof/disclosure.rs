//! What a receipt shows of an event: the entry alone, or each part with its salt, or a part's HMAC in its place.

use super::ReceiptError;
use crate::entry::{Entry, PartError, PartMac, Salt, commit_macs, merge, part_mac};
use crate::json::{Object, Reader, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// What is shown of an event. It has no `Debug`, because it may hold PHI.
#[derive(Clone, PartialEq, Eq)]
pub enum Disclosure {
    /// The entry alone: `{"entry":…}`.
    Entry(Entry),
    /// Its parts: `{"public":…,"salt_public":…,"phi":…,"salt_phi":…}`, where `mac_public` or `mac_phi` stands for what is not shown.
    Parts {
        /// The public part.
        public: Shown,
        /// The PHI part.
        phi: Shown,
    },
}

/// A part, or what stands for it.
#[derive(Clone, PartialEq, Eq)]
pub enum Shown {
    /// The stored bytes and their salt.
    Part {
        /// Canonical JSON, as stored.
        bytes: Vec<u8>,
        /// The salt of this part.
        salt: Salt,
    },
    /// The HMAC of a part that is withheld or erased.
    Mac(PartMac),
}

impl Shown {
    /// The part, if it is shown.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Part { bytes, .. } => Some(bytes),
            Self::Mac(_) => None,
        }
    }

    fn mac(&self) -> PartMac {
        match self {
            Self::Part { bytes, salt } => part_mac(bytes, salt),
            Self::Mac(mac) => *mac,
        }
    }
}

impl Disclosure {
    /// The entry that what is shown makes.
    pub fn entry(&self) -> Entry {
        match self {
            Self::Entry(entry) => *entry,
            Self::Parts { public, phi } => commit_macs(&public.mac(), &phi.mac()),
        }
    }

    /// The event as far as it is shown: canonical JSON of both parts, or of the one.
    pub fn event(&self) -> Result<Option<Vec<u8>>, PartError> {
        let Self::Parts { public, phi } = self else { return Ok(None) };
        match (public.bytes(), phi.bytes()) {
            (Some(public), phi) => merge(public, phi).map(Some),
            (None, phi) => Ok(phi.map(<[u8]>::to_vec)),
        }
    }

    /// The content of a receipt's `extra` line: canonical JSON, each value in base64.
    pub fn to_json(&self) -> Vec<u8> {
        let mut members = Vec::new();
        let mut member = |name: &'static str, bytes: &[u8]| {
            members.push((Cow::Borrowed(name), Value::Text(Cow::Owned(STANDARD.encode(bytes)))));
        };
        match self {
            Self::Entry(entry) => member("entry", entry),
            Self::Parts { public, phi } => {
                for (shown, [part, salt_name, mac_name]) in [(public, PUBLIC), (phi, PHI)] {
                    match shown {
                        Shown::Part { bytes, salt } => {
                            member(part, bytes);
                            member(salt_name, salt);
                        }
                        Shown::Mac(mac) => member(mac_name, mac),
                    }
                }
            }
        }
        let mut json = Vec::new();
        crate::canonical::object(&mut json, &Object::new(members).unwrap_or_default());
        json
    }

    /// Parses what [`Disclosure::to_json`] wrote, strictly.
    pub fn parse(json: &[u8]) -> Result<Self, ReceiptError> {
        let malformed = ReceiptError::Extra;
        let value = Reader::new(json).and_then(|mut reader| {
            let value = reader.value()?;
            reader.end()?;
            Ok(value)
        });
        let Ok(Value::Object(object)) = value else {
            return Err(malformed("it is not one JSON object"));
        };
        let disclosure = match field(&object, "entry")? {
            Some(entry) => Self::Entry(entry.try_into().map_err(|_| malformed("the entry is not 33 bytes long"))?),
            None => Self::Parts { public: shown(&object, PUBLIC)?, phi: shown(&object, PHI)? },
        };
        // Whatever else the object holds is not in what was understood.
        if disclosure.to_json() == json { Ok(disclosure) } else { Err(malformed("it holds more than it should, or is not canonical")) }
    }
}

/// Names of a part, of its salt, of its HMAC.
const PUBLIC: [&str; 3] = ["public", "salt_public", "mac_public"];
const PHI: [&str; 3] = ["phi", "salt_phi", "mac_phi"];

fn shown(object: &Object<'_>, [part, salt, mac]: [&str; 3]) -> Result<Shown, ReceiptError> {
    let length = |_| ReceiptError::Extra("a salt or HMAC has the wrong length");
    match (field(object, part)?, field(object, salt)?, field(object, mac)?) {
        (Some(bytes), Some(salt), None) => Ok(Shown::Part { bytes, salt: salt.try_into().map_err(length)? }),
        (None, None, Some(mac)) => Ok(Shown::Mac(mac.try_into().map_err(length)?)),
        _ => Err(ReceiptError::Extra("each part needs its bytes and salt, or its HMAC")),
    }
}

fn field(object: &Object<'_>, name: &str) -> Result<Option<Vec<u8>>, ReceiptError> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::Text(text)) => STANDARD.decode(&**text).map(Some).map_err(|_| ReceiptError::Extra("a member is not base64")),
        Some(_) => Err(ReceiptError::Extra("a member is not a string")),
    }
}
