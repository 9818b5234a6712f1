//! Handshakes with something wrong.

use crate::choices::Choices;

/// A handshake, over HTTP/1.1 or HTTP/2, of which some lines are others than they should be.
pub(in crate::targets) fn generate(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = choices
        .pick(&[HTTP_1, HTTP_2])
        .iter()
        .map(|line| line.to_vec())
        .collect();
    while !lines.is_empty() && choices.more() {
        let at = choices.up_to(lines.len() - 1);
        match choices.up_to(4) {
            0 => lines.push(choices.pick(LINES).to_vec()),
            1 => lines[at] = choices.pick(LINES).to_vec(),
            2 => drop(lines.remove(at)),
            3 => lines.push(lines[at].clone()),
            _ => {
                let inside = choices.up_to(lines[at].len());
                let byte = choices.pick(b", ;=\"\t13Aa/:-\xe9\x01");
                lines[at].insert(inside, byte);
            }
        }
    }
    lines.join(&b'\n')
}

const HTTP_1: &[&[u8]] = &[
    b"GET / HTTP/1.1",
    b"Host: a.example",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Protocol: chat, superchat",
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
];

const HTTP_2: &[&[u8]] = &[
    b"CONNECT https://a.example/ HTTP/2",
    b":protocol: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Protocol: chat",
];

/// Lines that matter, good and bad.
const LINES: &[&[u8]] = &[
    b"GET / HTTP/1.0",
    b"POST / HTTP/1.1",
    b"GET /chat HTTP/2",
    b"CONNECT a.example:443 HTTP/2",
    b"CONNECT / HTTP/2",
    b":protocol: WebSocket",
    b":protocol: connect-udp",
    b"Host: b.example",
    b"Connection: keep-alive, upgrade",
    b"Connection: close, x-upgrade",
    b"Connection: upgrade;q=1",
    b"Upgrade: h2c, WebSocket",
    b"Upgrade: websocket/13",
    b"Sec-WebSocket-Version: 8, 13",
    b"Sec-WebSocket-Version: 013",
    b"Sec-WebSocket-Version: ",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB==",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA",
    b"Sec-WebSocket-Key: ",
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Sec-WebSocket-Protocol: ",
    b"Sec-WebSocket-Protocol: v1,,v2 ,",
    b"Sec-WebSocket-Protocol: v1, V1",
    b"Sec-WebSocket-Protocol: gr\xc3\xbc\xc3\x9fe",
    b"Sec-WebSocket-Protocol: a/b",
    b"Sec-WebSocket-Protocol: 0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,A,B,C,D,E,F,G,H,\
      I,J,K,L,M,N,O,P,Q,R,S,T,U,V,W,X,Y,Z",
    b"Sec-WebSocket-Protocol: !,#",
    b"Sec-WebSocket-Extensions: ",
    b"Sec-WebSocket-Extensions: a; b=\"c\" , d;e = f",
    b"Sec-WebSocket-Extensions: a; b=\"c d\"",
    b"Sec-WebSocket-Extensions: a;",
    b"Sec-WebSocket-Extensions: a; b=",
    b"Sec-WebSocket-Extensions: a, , b",
];
