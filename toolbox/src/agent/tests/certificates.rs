//! Certificates of every type, signed by `ssh-keygen`, added and used by OpenSSH's tools and by the Rust API.

use super::*;

/// A house with an authority, and for each type a key `kN` with its certificate.
async fn certified() -> House {
    let house = House::new();
    house.generate("authority", TYPES[0]).await;
    for (number, kind) in TYPES.iter().enumerate() {
        let name = format!("k{number}");
        house.generate(&name, kind).await;
        let public = format!("{name}.pub");
        let arguments = ["-q", "-s", "authority", "-I", "me", "-n", "me", "-O", "extension:x@example.com", &public];
        house.done("ssh-keygen", &arguments).await;
    }
    house
}

fn private_key(house: &House, name: &str) -> Box<PrivateKey> {
    parse(&std::fs::read(house.path(name)).unwrap(), None).unwrap()
}

#[tokio::test]
async fn ssh_add_adds_lists_and_removes_certificates_beside_their_keys() {
    let house = certified().await;
    for number in 0..TYPES.len() {
        house.done("ssh-add", &["-q", &format!("k{number}")]).await;
    }
    let listed = house.done("ssh-add", &["-L"]).await;
    let blobs = |suffix: &str| -> Vec<Vec<u8>> {
        (0..TYPES.len()).map(|number| house.blob(&format!("k{number}{suffix}"))).collect()
    };
    let expected: Vec<_> = blobs(".pub").into_iter().zip(blobs("-cert.pub")).flat_map(<[_; 2]>::from).collect();
    let held: Vec<_> = house.agent.identities().into_iter().map(|identity| identity.blob).collect();
    assert_eq!(held, expected);
    assert_eq!(listed.lines().filter(|line| line.contains("-cert-v01@openssh.com")).count(), TYPES.len());
    for number in 0..TYPES.len() {
        house.done("ssh-add", &["-T", &format!("k{number}-cert.pub")]).await;
        house.done("ssh-add", &["-q", "-d", &format!("k{number}-cert.pub")]).await;
    }
    assert_eq!(house.agent.identities().len(), TYPES.len());
}

#[tokio::test]
async fn a_certificate_signs_with_the_plain_algorithm_of_its_key() {
    let house = certified().await;
    for number in 0..TYPES.len() {
        let name = format!("k{number}");
        let text = std::fs::read_to_string(house.path(&format!("{name}-cert.pub"))).unwrap();
        let certificate = Certificate::from_openssh(&text).unwrap();
        let key = private_key(&house, &name);
        let public = key.public_key().clone();
        house.agent.add_certificate(certificate, key, AddOptions::default()).await.unwrap();
        let identities = house.agent.identities();
        assert_eq!(
            (identities[number].blob.clone(), &identities[number].comment),
            (house.blob(&format!("{name}-cert.pub")), &name)
        );
        let mut stream = house.raw().await;
        let answer = exchange(&mut stream, &sign(&identities[number].blob, b"data")).await;
        let signature = Signature::decode(&mut &answer[5..]).unwrap();
        assert_eq!((answer[0], signature.algorithm()), (14, public.algorithm()));
        public.key_data().verify(b"data", &signature).unwrap();
        assert_eq!(
            exchange(&mut stream, &sign(&public.to_bytes().unwrap(), b"data")).await,
            [5],
            "the key is not there"
        );
    }
}

#[tokio::test]
async fn ssh_keygen_signs_with_a_certificate_in_the_agent() {
    let house = certified().await;
    house.done("ssh-add", &["-q", "k1"]).await;
    std::fs::remove_file(house.path("k1")).unwrap();
    std::fs::write(house.path("text"), "text").unwrap();
    house.done("ssh-keygen", &["-q", "-Y", "sign", "-f", "k1-cert.pub", "-n", "test", "text"]).await;
    let told = house.done("sh", &["-c", "ssh-keygen -Y check-novalidate -n test -s text.sig < text"]).await;
    assert!(told.contains("Good \"test\" signature"), "{told}");
}

#[tokio::test]
async fn a_certificate_for_another_key_is_refused() {
    let house = certified().await;
    let text = std::fs::read_to_string(house.path("k0-cert.pub")).unwrap();
    let certificate = Certificate::from_openssh(&text).unwrap();
    house.generate("other", TYPES[0]).await;
    let other = private_key(&house, "other");
    let added = house.agent.add_certificate(certificate, other.clone(), AddOptions::default()).await;
    assert_eq!(added, Err(AddError::OtherCertificate));
    // The same over the protocol: k0's certificate, and both halves of another key.
    let pair = other.key_data().ed25519().unwrap();
    let name = b"ssh-ed25519-cert-v01@openssh.com";
    let parts = [&name[..], &house.blob("k0-cert.pub"), &pair.public.0, &pair.to_bytes(), b"comment"];
    let body = parts.iter().map(|part| string(part)).collect::<Vec<_>>().concat();
    assert_eq!(exchange(&mut house.raw().await, &[&[17][..], &body].concat()).await, [5]);
    assert_eq!(house.agent.identities(), []);
}
