//! Keys whose use must be confirmed, asked for through a program of the person's.

use super::*;

/// A house whose agent asks through `askpass`, with a key that must be confirmed.
async fn careful() -> House {
    let house = House::with(|directory| {
        let askpass = Some(Askpass::program(&directory.join("askpass")));
        Settings { askpass, ..Settings::default() }
    });
    house.generate("key", TYPES[0]).await;
    house.done("ssh-add", &["-q", "-c", "key"]).await;
    house
}

/// Waits until a question is being asked, which goes on until [`answer_it`].
const ASK: &str = r#"printf '%s' "$1" > asking.new; mv asking.new asking; read answer < answer; echo "$answer""#;

impl House {
    fn ask(&self) {
        let directory = self.directory.path().display();
        std::process::Command::new("mkfifo").arg(self.path("answer")).status().unwrap();
        self.askpass(&format!("cd {directory}; {ASK}"));
    }

    async fn is_asking(&self) -> String {
        until(|| self.path("asking").exists()).await;
        std::fs::read_to_string(self.path("asking")).unwrap()
    }

    fn answer_it(&self, answer: &str) {
        std::fs::write(self.path("answer"), format!("{answer}\n")).unwrap();
    }
}

#[tokio::test]
async fn each_use_is_confirmed_in_openssh_s_words() {
    let house = careful().await;
    house.ask();
    let (mut stream, blob) = (house.raw().await, house.blob("key.pub"));
    for (answer, kind) in [("yes", 14), ("no", 5), ("", 14)] {
        send(&mut stream, &sign(&blob, b"data")).await;
        let fingerprint = FingerprintHash::Sha256.fingerprint(&blob);
        assert_eq!(house.is_asking().await, format!("Allow use of key key?\nKey fingerprint {fingerprint}."));
        std::fs::remove_file(house.path("asking")).unwrap();
        house.answer_it(answer);
        assert_eq!(receive(&mut stream).await.unwrap()[0], kind, "{answer}");
    }
}

#[tokio::test]
async fn a_question_holds_up_nobody_else() {
    let house = careful().await;
    house.generate("other", TYPES[0]).await;
    house.done("ssh-add", &["-q", "other"]).await;
    house.ask();
    let mut asking = house.raw().await;
    send(&mut asking, &sign(&house.blob("key.pub"), b"data")).await;
    house.is_asking().await;
    let mut stream = house.raw().await;
    assert_eq!(exchange(&mut stream, &sign(&house.blob("other.pub"), b"data")).await[0], 14);
    house.done("ssh-add", &["-l"]).await;
    house.answer_it("yes");
    assert_eq!(receive(&mut asking).await.unwrap()[0], 14);
}

#[tokio::test]
async fn an_identity_that_went_while_the_person_was_asked_does_not_sign() {
    let again = ["-q", "-c", "key"];
    for change in [&["-q", "-d", "key"][..], &["-q", "-D"], &["-q", "-x"], &again] {
        let house = careful().await;
        house.answer("word");
        if change == ["-q", "-x"] {
            // The passphrase is asked for with the same program, and so before.
            house.askpass("case $SSH_ASKPASS_PROMPT in confirm) ;; *) echo word; exit;; esac");
        }
        let mut stream = house.raw().await;
        let wrapped = format!(
            "case \"$SSH_ASKPASS_PROMPT\" in confirm) ;; *) echo word; exit;; esac; cd {}; {ASK}",
            house.directory.path().display()
        );
        std::process::Command::new("mkfifo").arg(house.path("answer")).status().unwrap();
        house.askpass(&wrapped);
        let blob = house.blob("key.pub");
        let held = house.agent.keyring().find(&blob, Instant::now()).unwrap().holder.downgrade();
        send(&mut stream, &sign(&blob, b"data")).await;
        house.is_asking().await;
        house.done("ssh-add", change).await;
        if change != ["-q", "-x"] {
            assert_eq!(held.strong_count(), 0, "{change:?}: the question holds no private key");
        }
        house.answer_it("yes");
        assert_eq!(receive(&mut stream).await.unwrap(), [5], "{change:?}");
    }
}

#[tokio::test]
async fn without_anybody_to_ask_the_key_is_refused() {
    let house = House::new();
    house.generate("key", TYPES[0]).await;
    assert_eq!(house.fails("ssh-add", &["-q", "-c", "key"]).await, 1);
    let key = parse(&std::fs::read(house.path("key")).unwrap(), None).unwrap();
    let options = AddOptions { confirm: true, ..AddOptions::default() };
    assert_eq!(house.agent.add_with(key, options).await, Err(AddError::NobodyToAsk));
    assert_eq!(house.agent.identities(), []);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_forgotten_and_its_question_not_asked() {
    let house = careful().await;
    house.ask();
    let blob = house.blob("key.pub");
    let holders = || Arc::strong_count(&house.agent.shared);
    until(|| holders() == 2).await;
    let (mut asking, mut leaving, mut half) = (house.raw().await, house.raw().await, house.raw().await);
    send(&mut asking, &sign(&blob, b"data")).await;
    house.is_asking().await;
    std::fs::remove_file(house.path("asking")).unwrap();
    send(&mut leaving, &sign(&blob, b"data")).await;
    send(&mut half, &sign(&blob, b"data")).await;
    half.shutdown().await.unwrap();
    until(|| holders() == 5).await;
    drop(leaving);
    until(|| holders() == 4).await;
    // The question that is being asked keeps its turn though nobody waits for it.
    drop(asking);
    until(|| holders() == 3).await;
    assert!(!house.path("asking").exists() && house.agent.shared.questions.available_permits() == 0);
    house.answer_it("yes");
    house.is_asking().await;
    house.answer_it("yes");
    assert_eq!(receive(&mut half).await.unwrap()[0], 14, "who has only stopped sending gets the answer");
    until(|| house.agent.shared.questions.available_permits() == 1).await;
}
