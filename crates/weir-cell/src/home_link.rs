//! The links to the node's homes: dials, says hello, and passes each new fragment on.
//!
//! The shell around [`Homing`], on the node's runtime. One task a link; a link that breaks is dialled again with a
//! bounded, growing wait, until the machine closes it.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    net::TcpSocket,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use weir_core::{
    clock::Clock,
    id::{Incarnation, MemberId},
};
use weir_wire::{
    control::{Control, ControlReply, ControlRequest},
    fragment::Fragment,
    framing::FrameLink,
    mesh::{Dialler, MeshMessage},
};

use crate::homing::{HomeTarget, Homing, HomingAction, HomingEvent};

/// The first wait before a broken link is dialled again; doubles up to the last.
const REDIAL_FIRST: Duration = Duration::from_millis(50);
const REDIAL_LAST: Duration = Duration::from_secs(1);
/// How long a home may take to answer a hello.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(5);
/// Events of links that wait for the machine; a link waits when it is full.
const EVENTS_MAX: usize = 64;

/// Who the node is, in a hello.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) member: MemberId,
    pub(crate) life: Incarnation,
    /// The node's own address: the source of its connections.
    pub(crate) source: std::net::IpAddr,
}

/// Keeps the homes informed until the runtime ends.
pub(crate) async fn keep_homes(
    clock: Clock,
    control: Control,
    identity: Identity,
    fragments: watch::Receiver<Option<Fragment>>,
) {
    let (report, mut events) = mpsc::channel(EVENTS_MAX);
    let mut homing = Homing::new(identity.member);
    let mut links: BTreeMap<MemberId, JoinHandle<()>> = BTreeMap::new();
    let mut poll = tokio::time::interval(Duration::from_millis(200));
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            _ = poll.tick() => match control.call(ControlRequest::Cells).await {
                Ok(ControlReply::Cells { fleet, cells }) => {
                    // A joiner is learned within the discovery window by front ends; a node asks as often as it
                    // renews, since a displaced home is kept for it anyway.
                    let pace = (fleet.gossip_interval.0 / 2).max(Duration::from_millis(20));
                    if poll.period() != pace {
                        poll = tokio::time::interval_at(tokio::time::Instant::now() + pace, pace);
                    }
                    HomingEvent::Cells { cells, hand_over: fleet.hand_over() }
                }
                Ok(other) => {
                    tracing::error!(?other, "the control plane answered another question");
                    HomingEvent::Tick
                }
                Err(error) => {
                    tracing::debug!(%error, "cells unknown");
                    HomingEvent::Tick
                }
            },
            event = events.recv() => event.expect("this task holds a sender"),
        };
        for action in homing.apply(clock.now(), event) {
            match action {
                HomingAction::Open(target) => {
                    let member = target.member;
                    let link = keep_link(identity.clone(), target, fragments.clone(), report.clone());
                    links.insert(member, tokio::spawn(link));
                }
                HomingAction::Close(member) => {
                    if let Some(link) = links.remove(&member) {
                        link.abort();
                    }
                }
            }
        }
    }
}

async fn keep_link(
    identity: Identity,
    target: HomeTarget,
    mut fragments: watch::Receiver<Option<Fragment>>,
    report: mpsc::Sender<HomingEvent>,
) {
    let mut wait = REDIAL_FIRST;
    loop {
        match dial(&identity, &target).await {
            Ok(link) => {
                wait = REDIAL_FIRST;
                let _ = report.send(HomingEvent::Reached(target.member)).await; // the machine outlives its links
                pass_fragments(link, &mut fragments).await;
            }
            Err(detail) => tracing::debug!(home = %target.member, detail, "home not reached"),
        }
        let _ = report.send(HomingEvent::Lost(target.member)).await;
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(REDIAL_LAST);
    }
}

async fn dial(identity: &Identity, target: &HomeTarget) -> Result<FrameLink, String> {
    let socket = if target.mesh.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| error.to_string())?;
    socket
        .bind((identity.source, 0).into())
        .map_err(|error| format!("bind to {}: {error}", identity.source))?;
    let stream =
        socket.connect(target.mesh).await.map_err(|error| format!("connect to {}: {error}", target.mesh))?;
    let _ = stream.set_nodelay(true); // a failure here only costs time
    let mut link = FrameLink::over(stream);
    let hello = MeshMessage::Hello {
        member: identity.member,
        life: identity.life,
        cell: target.cell.clone(),
        dialler: Dialler::Node,
        lane: 0,
    };
    link.send(hello.to_frame()).await.map_err(|error| error.to_string())?;
    let answer =
        tokio::time::timeout(WELCOME_TIMEOUT, link.receive()).await.map_err(|_| "no welcome in time")?;
    match MeshMessage::from_frame(&answer.ok_or("closed before a welcome")?) {
        Ok(MeshMessage::Welcome { .. }) => Ok(link),
        Ok(MeshMessage::Refused(reason)) => Err(format!("refused: {reason:?}")),
        Ok(other) => Err(format!("not a welcome: {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Sends each fragment until the link breaks. A home that falls behind gets the newest only.
async fn pass_fragments(mut link: FrameLink, fragments: &mut watch::Receiver<Option<Fragment>>) {
    fragments.mark_changed();
    loop {
        tokio::select! {
            changed = fragments.changed() => {
                if changed.is_err() {
                    return;
                }
                let Some(fragment) = fragments.borrow_and_update().clone() else { continue };
                let message = MeshMessage::Fragments { whole_map: false, fragments: vec![fragment] };
                if link.send(message.to_frame()).await.is_err() {
                    return;
                }
            }
            // Homes send beats; their end is what matters here.
            heard = link.receive() => if heard.is_none() {
                return;
            },
        }
    }
}
