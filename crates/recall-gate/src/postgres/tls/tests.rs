use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SignatureAlgorithm};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

/// An authority, and a server's certificate and key from it, in files.
struct Files {
    folder: TempDir,
    own: Vec<u8>,
}

impl Files {
    fn new(authority: &'static SignatureAlgorithm, server: &'static SignatureAlgorithm) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate_for(authority).unwrap()).unwrap();
        let key = KeyPair::generate_for(server).unwrap();
        let names = ["db.example".to_owned(), "127.0.0.1".to_owned()];
        let own = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap().der().to_vec();
        let files = Self { folder: tempfile::tempdir().unwrap(), own };
        fs::write(files.path("ca.pem"), pem("CERTIFICATE", authority.der())).unwrap();
        fs::write(files.path("own.pem"), pem("CERTIFICATE", &files.own) + &pem("CERTIFICATE", authority.der())).unwrap();
        fs::write(files.path("own.key"), pem("PRIVATE KEY", key.serialized_der())).unwrap();
        files.set_mode("own.key", 0o600);
        files
    }

    fn ecdsa() -> Self {
        Self::new(&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P256_SHA256)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn server(&self) -> Result<ServerTls, TlsError> {
        ServerTls::load(&self.path("own.pem"), &self.path("own.key"))
    }

    fn upstream(&self) -> UpstreamTls {
        UpstreamTls::load(Some(&self.path("ca.pem"))).unwrap()
    }

    /// What loading says when a file has this text.
    fn refusal(&self, name: &str, text: &str) -> TlsError {
        fs::write(self.path(name), text).unwrap();
        self.server().err().unwrap()
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// What the client is bound to and both have agreed to speak, after a byte each way.
async fn connect(server: &ServerTls, upstream: &UpstreamTls, host: &str) -> io::Result<(Option<Digest>, [Option<Vec<u8>>; 2])> {
    let (near, far) = duplex(1 << 16);
    let accepted = async {
        let mut stream = server.acceptor().accept(far).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.flush().await?;
        Ok::<_, io::Error>(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
    };
    let connected = async {
        let mut stream = upstream.connector().connect(server_name(host).unwrap(), near).await?;
        stream.write_u8(7).await?;
        stream.flush().await?;
        assert_eq!(stream.read_u8().await?, 7);
        let connection = stream.get_ref().1;
        Ok::<_, io::Error>((upstream_end_point(connection), connection.alpn_protocol().map(<[u8]>::to_vec)))
    };
    let (accepted, connected) = tokio::join!(accepted, connected);
    let (end_point, client_alpn) = connected?;
    Ok((end_point, [accepted?, client_alpn]))
}

#[tokio::test]
async fn both_sides_are_bound_to_the_same_certificate() {
    for (authority, bytes) in [(&PKCS_ECDSA_P256_SHA256, 32), (&PKCS_ECDSA_P384_SHA384, 48)] {
        let files = Files::new(authority, &PKCS_ECDSA_P256_SHA256);
        let server = files.server().unwrap();
        for host in ["db.example", "127.0.0.1"] {
            let (end_point, alpn) = connect(&server, &files.upstream(), host).await.unwrap();
            assert_eq!(end_point.unwrap().as_ref(), server.end_point());
            assert_eq!(server.end_point(), end_point::hash(&files.own).unwrap().as_ref());
            assert_eq!(server.end_point().len(), bytes);
            assert_eq!(alpn, [Some(ALPN.to_vec()), Some(ALPN.to_vec())]);
        }
    }
}

#[tokio::test]
async fn only_the_named_server_of_a_trusted_authority_is_spoken_to() {
    let files = Files::ecdsa();
    let server = files.server().unwrap();
    for host in ["other.example", "db.example.other", "127.0.0.2", "sub.db.example"] {
        let error = connect(&server, &files.upstream(), host).await.unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{host}: {error}");
    }
    let stranger = Files::ecdsa().upstream();
    let error = connect(&server, &stranger, "db.example").await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn clients_that_mean_another_service_are_refused() {
    let files = Files::ecdsa();
    let server = files.server().unwrap();
    let with_alpn = |protocols: &[&[u8]]| {
        let mut config = (*files.upstream().config).clone();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        UpstreamTls { config: Arc::new(config) }
    };
    assert!(connect(&server, &with_alpn(&[b"http/1.1"]), "db.example").await.is_err());
    // A client that asked for TLS by SSLRequest need not name the protocol.
    let (_, alpn) = connect(&server, &with_alpn(&[]), "db.example").await.unwrap();
    assert_eq!(alpn, [None, None]);
    let (_, alpn) = connect(&server, &with_alpn(&[b"http/1.1", ALPN]), "db.example").await.unwrap();
    assert_eq!(alpn, [Some(ALPN.to_vec()), Some(ALPN.to_vec())]);
}

#[test]
fn an_own_certificate_without_a_hash_is_refused_with_the_remedy() {
    // The authority signs it: what the key is for does not matter.
    let error = Files::new(&PKCS_ED25519, &PKCS_ECDSA_P256_SHA256).server().err().unwrap();
    assert!(matches!(error, TlsError::EndPoint { reason: EndPointError::NoHash, .. }));
    let text = error.to_string();
    assert!(text.contains("own.pem") && text.contains("ECDSA P-256"), "{text}");
    assert!(Files::new(&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519).server().is_ok());
}

#[tokio::test]
async fn an_upstream_certificate_without_a_hash_is_verified_but_not_bound_to() {
    let files = Files::new(&PKCS_ED25519, &PKCS_ED25519);
    let config = ServerConfig::builder_with_provider(crypto()).with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let chain = certificates(&files.path("own.pem")).unwrap();
    let config = config.with_single_cert(chain, private_key(&files.path("own.key")).unwrap()).unwrap();
    let server = ServerTls { config: Arc::new(config), end_point: Files::ecdsa().server().unwrap().end_point };
    let (end_point, _) = connect(&server, &files.upstream(), "db.example").await.unwrap();
    assert!(end_point.is_none());
    assert!(connect(&server, &files.upstream(), "other.example").await.is_err());
}

#[test]
fn a_key_that_others_have_access_to_is_refused() {
    let files = Files::ecdsa();
    for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o777] {
        files.set_mode("own.key", mode);
        let error = files.server().err().unwrap();
        assert!(matches!(error, TlsError::Exposed { mode: found, .. } if found == mode), "{mode:o}: {error}");
        assert!(error.to_string().contains("own.key (mode 0") && error.to_string().contains("chmod 600"), "{error}");
    }
    for mode in [0o600, 0o400, 0o700] {
        files.set_mode("own.key", mode);
        assert!(files.server().is_ok(), "{mode:o}");
    }
    // Certificates are public.
    files.set_mode("own.pem", 0o644);
    assert!(files.server().is_ok());
}

#[test]
fn files_that_are_not_what_they_should_be_are_refused() {
    let files = Files::ecdsa();
    let certificate = fs::read_to_string(files.path("own.pem")).unwrap();
    let key = fs::read_to_string(files.path("own.key")).unwrap();
    for text in ["", "no PEM", &key, &certificate[..certificate.len() - 40], &certificate.replace("-\nM", "-\n!")] {
        let error = files.refusal("own.pem", text);
        assert!(matches!(error, TlsError::NotPem { wanted: "certificate", .. }), "{error}");
    }
    for der in [&[][..], b"\x30\x00", &files.own[1..], &files.own[..files.own.len() - 1], &[&files.own[..], b"x"].concat()] {
        let error = files.refusal("own.pem", &pem("CERTIFICATE", der));
        assert!(matches!(error, TlsError::EndPoint { reason: EndPointError::NotX509, .. }), "{error}");
    }
    fs::write(files.path("own.pem"), &certificate).unwrap();
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for text in ["", "no PEM", &certificate, &encrypted, &key[..key.len() - 40]] {
        let error = files.refusal("own.key", text);
        assert!(matches!(error, TlsError::NotPem { wanted: "unencrypted private key", .. }), "{error}");
    }
    let error = files.refusal("own.key", &pem("PRIVATE KEY", b"\x30\x00"));
    assert!(matches!(error, TlsError::Unusable { .. }), "{error}");
    fs::write(files.path("own.key"), &key).unwrap();
    assert!(files.server().is_ok());
}

#[test]
fn files_are_read_up_to_the_limit() {
    let files = Files::ecdsa();
    let certificate = fs::read_to_string(files.path("own.pem")).unwrap();
    let limit = usize::try_from(FILE_BYTES).unwrap();
    for (bytes, fits) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
        fs::write(files.path("own.pem"), format!("{certificate}{}", "#".repeat(bytes - certificate.len()))).unwrap();
        assert_eq!(files.server().is_ok(), fits, "{bytes}");
    }
    assert!(matches!(files.server(), Err(TlsError::NotAFile { .. })));
    assert!(matches!(UpstreamTls::load(Some(files.folder.path())), Err(TlsError::NotAFile { .. })));
    assert!(matches!(UpstreamTls::load(Some(&files.path("absent.pem"))), Err(TlsError::Unreadable { .. })));
}

#[test]
fn the_key_must_be_the_certificates() {
    let files = Files::ecdsa();
    fs::copy(Files::ecdsa().path("own.key"), files.path("own.key")).unwrap();
    let error = files.server().err().unwrap();
    assert!(matches!(error, TlsError::Unusable { reason: rustls::Error::InconsistentKeys(_), .. }), "{error}");
}

#[test]
fn without_an_authority_nobody_is_trusted() {
    let error = UpstreamTls::load(None).err().unwrap();
    assert!(error.to_string().contains("ca_file"), "{error}");
    let files = Files::ecdsa();
    fs::write(files.path("ca.pem"), pem("CERTIFICATE", b"\x30\x00")).unwrap();
    assert!(matches!(UpstreamTls::load(Some(&files.path("ca.pem"))), Err(TlsError::Unusable { .. })));
}

#[test]
fn hosts_that_no_certificate_can_name_are_refused() {
    for host in ["", " ", "a b", "-", "db..example", "/run/postgresql", "db:5432", "[::1]"] {
        assert!(matches!(server_name(host), Err(TlsError::HostName)), "{host:?}");
    }
    for host in ["db", "db.example", "127.0.0.1", "::1"] {
        assert!(server_name(host).is_ok(), "{host}");
    }
}
