//! The images at hand, of which each host gets those for its platform.

use std::collections::BTreeMap;

use crate::image::Platform;
use crate::plan::DesiredImage;

/// Images by the name that the compose file uses, one for each platform.
#[derive(Debug, Clone, Default)]
pub struct AtHand(BTreeMap<String, Vec<(Platform, DesiredImage)>>);

impl AtHand {
    pub(super) fn insert(&mut self, name: String, offers: Vec<(Platform, DesiredImage)>) {
        if !offers.is_empty() {
            self.0.insert(name, offers);
        }
    }

    /// The images that fit a host best. An empty `architecture` is a host whose engine is not there yet: it gets what
    /// this program runs on. Where none fits, the one that is there says what it is for, and a plan refuses it.
    pub fn for_host(&self, architecture: &str, variant: &str) -> BTreeMap<String, DesiredImage> {
        let architecture = if architecture.is_empty() { own_architecture() } else { architecture };
        let fit = |offers: &Vec<(Platform, DesiredImage)>| {
            let scored =
                offers.iter().filter_map(|(platform, image)| Some((platform.fits(architecture, variant)?, image)));
            let best = scored.max_by_key(|(score, _)| *score).map(|(_, image)| image.clone());
            best.unwrap_or_else(|| unfit(offers))
        };
        self.0.iter().map(|(name, offers)| (name.clone(), fit(offers))).collect()
    }

    /// Every image, by its name and platform.
    pub fn all(&self) -> BTreeMap<String, DesiredImage> {
        let named = self.0.iter().flat_map(|(name, offers)| {
            offers.iter().map(move |(platform, image)| (format!("{name} {platform}"), image.clone()))
        });
        named.collect()
    }
}

/// An image that says which platforms there are.
fn unfit(offers: &[(Platform, DesiredImage)]) -> DesiredImage {
    let (_, mut image) = offers[0].clone();
    let short = |platform: &Platform| platform.to_string().trim_start_matches("linux/").to_owned();
    let platforms: Vec<String> = offers.iter().map(|(platform, _)| short(platform)).collect();
    image.facts.architecture = platforms.join(", ");
    image
}

/// In Go's words.
fn own_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::ImageFacts;

    fn offer(architecture: &str, variant: &str) -> (Platform, DesiredImage) {
        let variant = (!variant.is_empty()).then(|| variant.to_owned());
        let platform = Platform { os: "linux".into(), architecture: architecture.into(), variant };
        let facts = ImageFacts::new(platform.to_string(), Vec::new(), None, &()).on("linux", architecture);
        let reference = "web:1".parse().unwrap();
        (platform, DesiredImage { reference, facts, layer_sizes: BTreeMap::new() })
    }

    fn chosen(offers: &[(&str, &str)], architecture: &str, variant: &str) -> (String, String) {
        let mut at_hand = AtHand::default();
        at_hand.insert("web".into(), offers.iter().map(|(a, v)| offer(a, v)).collect());
        let image = at_hand.for_host(architecture, variant).remove("web").unwrap();
        (image.facts.id, image.facts.architecture)
    }

    #[test]
    fn host_gets_the_image_of_its_platform() {
        let offers = [("amd64", ""), ("arm", "v6"), ("arm", "v7"), ("arm64", "v8")];
        assert_eq!(chosen(&offers, "amd64", "").0, "linux/amd64");
        assert_eq!(chosen(&offers, "arm", "v7").0, "linux/arm/v7");
        assert_eq!(chosen(&offers, "arm", "v6").0, "linux/arm/v6");
        assert_eq!(chosen(&offers, "arm64", "v8").0, "linux/arm64/v8");
    }

    #[test]
    fn image_without_the_hosts_platform_names_those_that_it_has() {
        let (_, told) = chosen(&[("amd64", ""), ("arm", "v7")], "riscv64", "");
        assert_eq!(told, "amd64, arm/v7");
        assert_eq!(chosen(&[("arm", "v7")], "arm", "v6").1, "arm/v7");
    }

    #[test]
    fn host_without_an_engine_gets_what_this_program_runs_on() {
        let offers = [("s390x", ""), (own_architecture(), "")];
        assert_eq!(chosen(&offers, "", "").1, own_architecture());
    }
}
