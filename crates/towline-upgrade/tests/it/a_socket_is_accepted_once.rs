//! Of all clones of an offer, one is accepted.

use towline_core::{AcceptError, Message};

use crate::support::{echo, open, poll_once, respond};

#[tokio::test(start_paused = true)]
async fn a_second_accept_while_the_first_is_pending_is_an_error() {
    let (mut peer, _ended) = open(|upgrade| async move {
        let mut first = upgrade.clone().accept();
        assert!(poll_once(&mut first).await.is_pending());
        let second = upgrade.accept().await;
        assert!(matches!(second, Err(AcceptError::AlreadyAccepted)));
        let socket = first.await.unwrap();
        let closed = socket.closed();
        echo(socket).await;
        closed.await.into()
    })
    .await;
    peer.expect_echo().await;
}

#[tokio::test(start_paused = true)]
async fn an_accept_after_the_101_is_an_error() {
    let (mut peer, ended) = open(|upgrade| async move {
        let again = upgrade.clone();
        let mut socket = upgrade.accept().await.unwrap();
        let error = again.clone().accept().await.unwrap_err();
        assert!(matches!(error, AcceptError::AlreadyAccepted));
        socket.send(error.to_string()).await.unwrap();
        let error = again.serve(echo).await.unwrap_err();
        assert!(matches!(error, AcceptError::AlreadyAccepted));
        assert_eq!(socket.recv().await, Some(Message::from("unharmed?")));
        socket.close(1000, "yes").await.unwrap().into()
    })
    .await;
    peer.expect_text("the upgrade was accepted already; it can be once")
        .await;
    peer.text("unharmed?").await;
    peer.expect_close(1000, "yes").await;
    peer.close(1000, "").await;
    assert!(ended.closed().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn an_accept_after_the_end_is_an_error() {
    let (mut peer, ended) = open(|upgrade| async move {
        let again = upgrade.clone();
        let closed = upgrade.serve(echo).await;
        assert!(matches!(
            again.accept().await,
            Err(AcceptError::AlreadyAccepted)
        ));
        respond(closed)
    })
    .await;
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    assert!(ended.closed().await.is_clean());
}

/// An error of `accept` is the endpoint's to answer; nothing was taken by a failed one.
#[tokio::test(start_paused = true)]
async fn a_refused_accept_leaves_the_offer() {
    let (mut peer, _ended) = open(|upgrade| async move {
        let refused = upgrade.clone().require_protocol(true).accept().await;
        assert!(matches!(refused, Err(AcceptError::NoCommonProtocol)));
        respond(upgrade.serve(echo).await)
    })
    .await;
    peer.expect_echo().await;
}
