//! `extends`: a service laid over another one, of the same file or of another.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Assembler, Document, merge, relocate};
use crate::compose::keys;
use crate::compose::source::clean;
use crate::compose::variables::Scope;
use crate::yaml::{self, Node, Value};

/// How many services may extend each other in a row.
const MAX_CHAIN: usize = 32;

/// The services on the way, the last one extending the next.
type Chain = Vec<(PathBuf, String)>;

impl Assembler<'_> {
    /// The document's tree, each service with what it extends.
    pub(super) fn extended(&self, document: &Document, scope: &Rc<Scope>) -> Node {
        let mut tree = (*document.root).clone();
        let Some(Value::Map(services)) = tree.get_mut("services").map(|node| &mut node.value) else {
            return tree;
        };
        for entry in services.iter_mut().filter(|entry| entry.value.get("extends").is_some()) {
            let chain = vec![(document.file.clone(), entry.key.to_string())];
            let own = entry.value.clone();
            entry.value = self.over_its_base(own, document, scope, chain);
        }
        tree
    }

    /// A service over what it extends; without, where that cannot be found.
    fn over_its_base(&self, mut own: Node, document: &Document, scope: &Rc<Scope>, chain: Chain) -> Node {
        let Some(extends) = own.remove("extends").filter(|node| !node.is_null()) else {
            return own;
        };
        match self.base(&extends, document, scope, chain) {
            Some(base) => merge::merge_service(self.sink, base, own),
            None => own,
        }
    }

    /// The service that `extends` names, with what it extends itself.
    fn base(&self, extends: &Node, document: &Document, scope: &Rc<Scope>, mut chain: Chain) -> Option<Node> {
        self.scopes.tell(extends, self.sink);
        let (file, name) = self.target(extends)?;
        let elsewhere = match file {
            Some(file) => Some(self.document(&document.directory.join(file), extends, scope)?),
            None => None,
        };
        let place = elsewhere.as_deref().unwrap_or(document);
        let step = (place.file.clone(), name.clone());
        let again = chain.iter().position(|seen| *seen == step);
        chain.push(step);
        if again.is_some() || chain.len() > MAX_CHAIN {
            self.sink.report(extends, circle(&chain[again.unwrap_or(0)..], again.is_some()));
            return None;
        }
        let Some(found) = place.service(&name) else {
            let message = format!("the service {name:?} is not defined in {}", place.file.display());
            self.sink.report(extends, message);
            return None;
        };
        let mut base = self.over_its_base(found.clone(), place, scope, chain);
        if elsewhere.is_some() {
            relocate::service(&mut base, &place.directory);
        }
        Some(base)
    }

    /// `extends: NAME`, or its file and its service.
    fn target(&self, extends: &Node) -> Option<(Option<String>, String)> {
        if let Value::Scalar { text, .. } = &extends.value {
            return Some((None, text.clone()));
        }
        keys::EXTENDS.check(self.sink, extends);
        let text = |key: &str| extends.get(key).and_then(|node| yaml::text(self.sink, node)).map(str::to_owned);
        let Some(service) = text("service") else {
            self.sink.report_hint(extends, "service is missing", "name the service to extend");
            return None;
        };
        Some((text("file"), service))
    }

    fn document(&self, file: &Path, at: &Node, scope: &Rc<Scope>) -> Option<Rc<Document>> {
        let file = clean(file);
        let key = (file.clone(), Rc::as_ptr(scope));
        if let Some(known) = self.documents.borrow().get(&key) {
            return known.clone();
        }
        let document = self.parse(&file, at).map(|mut root| {
            self.scopes.apply(scope, &file, &mut root);
            let directory = file.parent().map(Path::to_owned).unwrap_or_default();
            Rc::new(Document::new(file, Rc::new(root), directory))
        });
        self.documents.borrow_mut().insert(key, document.clone());
        document
    }
}

fn circle(chain: &[(PathBuf, String)], is_circle: bool) -> String {
    if !is_circle {
        return format!("more than {MAX_CHAIN} services extend each other in a row");
    }
    let one_file = chain.iter().all(|(file, _)| *file == chain[0].0);
    let name = |(file, name): &(PathBuf, String)| match one_file {
        true => name.clone(),
        false => format!("{name} of {}", file.display()),
    };
    let names: Vec<String> = chain.iter().map(name).collect();
    format!("the services extend each other in a circle: {}", names.join(" -> "))
}
