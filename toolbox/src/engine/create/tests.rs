//! A container's place in its networks.

use super::*;
use crate::compose::testing::project;

#[test]
fn behind_a_relay_a_container_has_its_drivers_options_and_no_name_or_address_of_the_service() {
    let own = "{aliases: [www], ipv4_address: 10.9.0.2, link_local_ips: [169.254.9.2], driver_opts: {a: b}}";
    let project = project(&format!("{{services: {{web: {{image: a, networks: {{default: {own}}}}}}}}}"));
    let (service, name, purpose) = (&project.services["web"], "p-web-1", Purpose::Service);
    let (files, release, successor_of) = (&[][..], None, None);
    let (final_name, number, image) = (name, 1, "a");
    let place = |behind_relay| {
        let spec = ContainerSpec {
            project: &project,
            service,
            name,
            final_name,
            number,
            image,
            successor_of,
            behind_relay,
            files,
            release,
            purpose,
        };
        service_endpoint(spec, "default")
    };
    let options = Some(HashMap::from([("a".to_owned(), "b".to_owned())]));
    let (behind, alone) = (place(true), place(false));
    assert_eq!(
        (behind.aliases, behind.ipam_config, behind.driver_opts),
        (Some(vec![name.into()]), None, options.clone())
    );
    assert_eq!(alone.driver_opts, options);
    assert_eq!(alone.ipam_config.unwrap().link_local_ips.unwrap(), ["169.254.9.2"]);
}
