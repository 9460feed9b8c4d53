use super::*;

async fn read_all(mut bytes: &[u8]) -> Vec<io::Result<Option<Frame>>> {
    let (mut reader, mut frames) = (FrameReader::new(), Vec::new());
    loop {
        frames.push(reader.read(&mut bytes).await);
        if !matches!(frames.last(), Some(Ok(Some(_)))) {
            return frames;
        }
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_stream_and_one_at_the_limit_does_not() {
    let whole = framed(&vec![7; LONGEST_FRAME]);
    let frames = read_all(&whole).await;
    assert_eq!(frames[0].as_ref().unwrap().as_ref().unwrap().as_slice(), &whole[4..]);
    assert!(matches!(frames[1], Ok(None)));
    let at = u32::try_from(LONGEST_FRAME).unwrap();
    for announced in [at + 1, u32::MAX] {
        assert!(matches!(read_all(&announced.to_be_bytes()).await[..], [Ok(None)]));
    }
    assert!(matches!(read_all(&[]).await[..], [Ok(None)]));
    for cut in [1, 3, 4, 5, 100, BUFFER + 4, BUFFER + 5, whole.len() - 1] {
        assert!(matches!(read_all(&whole[..cut]).await[..], [Err(_)]), "cut at {cut}");
    }
}

#[test]
fn a_growing_frame_doubles_and_ends_at_what_was_announced() {
    let body = Frame::new(vec![1; BUFFER]);
    let larger = grown(&body, LONGEST_FRAME);
    assert_eq!((larger.len(), &larger[..BUFFER]), (2 * BUFFER, body.as_slice()));
    assert_eq!(grown(&body, BUFFER + 1).len(), BUFFER + 1);
}

#[tokio::test]
async fn what_has_left_the_buffer_is_zeroed_in_it() {
    let bytes = [framed(b"a secret"), framed(b"next")].concat();
    let (mut reader, mut stream) = (FrameReader::new(), bytes.as_slice());
    reader.read(&mut stream).await.unwrap();
    assert_eq!(reader.buffer[..12], [0; 12]);
    assert_eq!(reader.read(&mut stream).await.unwrap().unwrap().as_slice(), b"next");
    assert!(reader.buffer.iter().all(|byte| *byte == 0));
}

#[tokio::test]
async fn a_written_message_has_its_length_before_it() {
    let mut message = Message::new(12);
    message.number(0);
    message.string(b"ab");
    message.set_first_number(1);
    let mut written = Vec::new();
    message.write(&mut written).await.unwrap();
    assert_eq!(written, [0, 0, 0, 11, 12, 0, 0, 0, 1, 0, 0, 0, 2, b'a', b'b']);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
    #[test]
    fn frames_come_out_as_they_went_in_however_the_stream_is_cut(
        bodies in proptest::collection::vec(proptest::collection::vec(0_u8.., 0..9000), 0..6),
        pipe in 1_usize..6000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(async {
            let (mut client, mut server) = tokio::io::duplex(pipe);
            let bytes: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
            tokio::spawn(async move { client.write_all(&bytes).await });
            let (mut reader, mut read) = (FrameReader::new(), Vec::new());
            while let Some(frame) = reader.read(&mut server).await.unwrap() {
                read.push(frame.to_vec());
            }
            read
        });
        proptest::prop_assert_eq!(read, bodies);
    }
}
