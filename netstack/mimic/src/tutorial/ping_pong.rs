use mimic::{BoxFlow, Shutdown, flow};

/// Sends pings and counts the pongs.
pub async fn client(flow: &mut BoxFlow, pings: usize) -> Result<usize, flow::Error> {
    let mut pongs = 0;
    for _ in 0..pings {
        flow.write_all(b"ping\n").await?;
        if read_line(flow).await?.as_deref() == Some("pong") {
            pongs += 1;
        }
    }
    flow.shutdown(Shutdown::Write).await?;
    Ok(pongs)
}

/// Answers pings until the other side has no more.
pub async fn server(flow: &mut BoxFlow) -> Result<(), flow::Error> {
    while let Some(line) = read_line(flow).await? {
        let answer: &[u8] = if line == "ping" { b"pong\n" } else { b"what?\n" };
        flow.write_all(answer).await?;
    }
    flow.close().await
}

async fn read_line(flow: &mut BoxFlow) -> Result<Option<String>, flow::Error> {
    let (mut line, mut octet) = (String::new(), [0]);
    while flow.read(&mut octet).await? > 0 {
        match octet[0] {
            b'\n' => return Ok(Some(line)),
            octet => line.push(octet as char),
        }
    }
    Ok(None)
}
