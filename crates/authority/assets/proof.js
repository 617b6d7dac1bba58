// Checks an entry's inclusion proof, the checkpoint's signature and the maker's, in this browser
// (RFC 9162 section 2.1.3.2, C2SP tlog-checkpoint and signed-note). What it is given it works out
// anew: nothing that the server says is believed but the keys, whose fingerprint people compare.
"use strict";

(() => {
  const place = document.querySelector("[data-proof]");
  if (!place) return;
  const button = place.querySelector("[data-proof-check]");
  const verdict = place.querySelector("[data-proof-verdict]");
  const list = place.querySelector("[data-proof-steps]");
  const edit = place.querySelector("[data-proof-edit]");
  const field = edit.querySelector("textarea");

  const utf8 = (text) => new TextEncoder().encode(text);
  const bytes = (text) => {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(binary, (c) => c.charCodeAt(0));
  };
  const base64 = (given) => btoa(String.fromCharCode(...given));
  const joined = (...parts) => {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  };
  const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);
  const sha256 = async (given) => new Uint8Array(await crypto.subtle.digest("SHA-256", given));
  const leafHash = (leaf) => sha256(joined(Uint8Array.of(0), leaf));
  const nodeHash = (left, right) => sha256(joined(Uint8Array.of(1), left, right));

  // One step as it went: what was done, how it came out, and the values.
  const said = (outcome, sentence, values) => {
    const item = document.createElement("li");
    const badge = document.createElement("span");
    const word = { good: "holds", bad: "fails", warn: "not checked" }[outcome];
    badge.className = `badge ${outcome}`;
    badge.textContent = word;
    const text = document.createElement("span");
    text.textContent = ` ${sentence}`;
    item.append(badge, text);
    if (values && values.length > 0) {
      const shown = document.createElement("dl");
      shown.className = "facts small";
      for (const [name, value] of values) {
        const row = document.createElement("div");
        const term = document.createElement("dt");
        const detail = document.createElement("dd");
        const code = document.createElement("code");
        term.textContent = name;
        code.className = "long";
        code.textContent = value;
        detail.append(code);
        row.append(term, detail);
        shown.append(row);
      }
      item.append(shown);
    }
    list.append(item);
    return outcome;
  };

  // A note: its text, and its signature lines.
  const parseNote = (note) => {
    const end = note.indexOf("\n\n");
    if (end < 0) throw new Error("the checkpoint is no signed note");
    const text = note.slice(0, end + 1);
    const lines = text.split("\n");
    if (lines.length < 4 || !/^(0|[1-9][0-9]*)$/.test(lines[1])) throw new Error("the checkpoint is malformed");
    const signatures = note.slice(end + 2).split("\n").filter((line) => line.startsWith("— ")).map((line) => {
      const [, name, value] = line.split(" ");
      return { name, value: bytes(value || "") };
    });
    return { text, origin: lines[0], size: Number(lines[1]), root: bytes(lines[2]), signatures };
  };

  // The log's key in its own notation: NAME+ID+KEY.
  const parseKey = (vkey) => {
    const name = vkey.slice(0, vkey.indexOf("+"));
    const rest = vkey.slice(name.length + 1);
    const id = rest.slice(0, 8);
    const key = bytes(rest.slice(9));
    if (!/^[0-9a-f]{8}$/.test(id) || key.length !== 33 || key[0] !== 1) throw new Error("the log's key is not Ed25519");
    return { name, id: Uint8Array.from(id.match(/../g), (pair) => parseInt(pair, 16)), typed: key, key: key.slice(1) };
  };

  const walk = async (leaf, index, size, hashes) => {
    if (!Number.isSafeInteger(size) || index >= size) throw new Error("the entry is not in a tree of this size");
    let [node, last, hash] = [index, size - 1, leaf];
    const values = [["leaf", base64(leaf)]];
    for (const sibling of hashes) {
      if (last === 0) throw new Error("the proof is too long");
      if (node % 2 === 1 || node === last) {
        hash = await nodeHash(sibling, hash);
        while (node % 2 === 0 && node !== 0) {
          node /= 2;
          last = Math.floor(last / 2);
        }
        values.push(["left", base64(sibling)]);
      } else {
        hash = await nodeHash(hash, sibling);
        values.push(["right", base64(sibling)]);
      }
      node = Math.floor(node / 2);
      last = Math.floor(last / 2);
    }
    if (last !== 0) throw new Error("the proof is too short");
    return { hash, values };
  };

  // Whether the signature holds; null where the browser has no Ed25519.
  const verifies = async (raw, signature, message) => {
    let key;
    try {
      key = await crypto.subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]);
    } catch (error) {
      if (error.name === "NotSupportedError") return null;
      return false;
    }
    return crypto.subtle.verify({ name: "Ed25519" }, key, signature, message);
  };
  const noEd25519 = "this browser has no Ed25519 in WebCrypto; a newer one has, and “bailiwick audit verify” checks it as well";

  const steps = async (given, leafText) => {
    const outcomes = [];
    const step = (...what) => outcomes.push(said(...what));
    const trust = JSON.parse(given.trust);
    const digits = [...await sha256(utf8(given.trust))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const fingerprint = digits.match(/.{4}/g).join("-");
    const log = parseKey(trust.log.vkey);
    const keyId = (await sha256(joined(utf8(`${log.name}\n`), log.typed))).slice(0, 4);
    step(same(keyId, log.id) ? "good" : "bad",
      "The keys are those of the trust file. Compare its fingerprint with the one that “bailiwick keys trust” prints on the host:",
      [["fingerprint", fingerprint], ["log", log.name], ["key", base64(log.key)]]);

    const entry = (() => {
      try {
        return JSON.parse(leafText);
      } catch {
        return null;
      }
    })();
    step(entry && entry.id === place.dataset.entry ? "good" : "bad", "The leaf is the entry on this page.",
      [["id", String(entry ? entry.id : "the leaf is no JSON")]]);

    const note = parseNote(given.checkpoint);
    const leaf = await leafHash(utf8(leafText));
    const hashes = given.hashes.map(bytes);
    let walked = null;
    try {
      walked = await walk(leaf, given.index, note.size, hashes);
    } catch (error) {
      step("bad", `The proof cannot be walked: ${error.message}.`, []);
    }
    if (walked) {
      step(same(walked.hash, note.root) ? "good" : "bad",
        `From the leaf's hash, ${hashes.length} hashes lead to the root of a tree of ${note.size} entries.`,
        [...walked.values, ["computed root", base64(walked.hash)], ["signed root", base64(note.root)]]);
    }

    const signed = note.signatures.find((s) => s.name === log.name && s.value.length === 68 && same(s.value.slice(0, 4), log.id));
    const ofLog = note.origin === log.name && signed
      ? await verifies(log.key, signed.value.slice(4), utf8(note.text)) : false;
    step(ofLog === null ? "warn" : ofLog ? "good" : "bad",
      ofLog === null ? `The checkpoint's signature: ${noEd25519}.` : "The log's key signed this root and this size.",
      [["checkpoint", note.text.trim().replaceAll("\n", " · ")]]);

    const maker = entry && trust.makers.find((m) => m.id === (entry.maker || {}).id);
    const member = entry && typeof entry.sig === "string" ? `"sig":"${entry.sig}",` : null;
    let ofMaker = false;
    if (maker && member && leafText.includes(member)) {
      const unsigned = leafText.replace(member, () => "");
      try {
        ofMaker = await verifies(bytes(maker.jwk.x), bytes(entry.sig), utf8(`bailiwick-entry-v1\n${unsigned}`));
      } catch {
        ofMaker = false;
      }
    }
    step(ofMaker === null ? "warn" : ofMaker ? "good" : "bad",
      ofMaker === null ? `The maker's signature: ${noEd25519}.` : "Its maker, who is in the trust file, signed the entry.",
      [["maker", maker ? maker.id : "not in the trust file"]]);
    return outcomes;
  };

  const told = (kind, text) => {
    verdict.className = `notice ${kind}`;
    verdict.textContent = text;
    verdict.hidden = false;
  };

  let given = null;
  button.addEventListener("click", async () => {
    button.disabled = true;
    list.replaceChildren();
    try {
      if (!window.isSecureContext || !crypto.subtle) {
        throw new Error("this browser offers no WebCrypto here: open the console over https or as localhost");
      }
      if (!given) {
        const answer = await fetch(place.dataset.proof, { redirect: "error" });
        if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
        const read = await answer.json();
        if (!read.published) {
          told("warn", "The entry is not under a published checkpoint yet. That takes about a second; check again.");
          return;
        }
        given = read;
        field.value = given.leaf;
        edit.hidden = false;
      }
      const outcomes = await steps(given, field.value);
      list.hidden = false;
      if (outcomes.includes("bad")) told("bad", "The check fails: this is not what the log holds, or somebody else signed it.");
      else if (outcomes.includes("warn")) told("warn", "The entry is in the tree, but not every signature could be checked in this browser.");
      else told("good", "The entry is in the log, as its maker signed it. That holds if the fingerprint below is the one that you were told.");
    } catch (error) {
      list.hidden = false;
      told("bad", `The check could not be done: ${error.message}.`);
    } finally {
      button.disabled = false;
    }
  });
})();
