// The console's one script: passkeys, and times in the viewer's own zone.
// Everything else works without it.
"use strict";

(() => {
  const bytes = (text) => {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(binary, (c) => c.charCodeAt(0));
  };
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

  // Times: the viewer's zone first, UTC beside it.
  const zone = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "numeric",
    hour: "2-digit", minute: "2-digit", timeZoneName: "short",
  });
  const isUtc = new Date().getTimezoneOffset() === 0;
  const localise = (part) => {
    for (const time of part.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime()) || isUtc) continue;
      const utc = time.textContent;
      const local = document.createElement("span");
      local.className = "local";
      local.textContent = zone.format(at);
      const beside = document.createElement("span");
      beside.className = "utc";
      beside.textContent = ` (${utc.slice(11)})`;
      time.title = utc;
      time.replaceChildren(local, beside);
    }
  };
  localise(document);
  const note = document.querySelector("[data-zone]");
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (note && name && !isUtc) note.textContent = `Times are in ${name}, with UTC beside them.`;

  // One request to our own origin. An answer that is not ok says why.
  const send = async (path, body, csrf) => {
    const headers = { "Content-Type": "application/json" };
    if (csrf) headers["X-CSRF-Token"] = csrf;
    const answer = await fetch(path, {
      method: "POST", headers, body: JSON.stringify(body), redirect: "error",
    });
    const read = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      const remedy = read.remedy ? ` ${read.remedy}.` : "";
      const id = read.decision ? ` (${read.decision})` : "";
      throw new Error(`${read.detail || `The answer was ${answer.status}`}.${remedy}${id}`);
    }
    return read;
  };

  // Runs the work of a form, one at a time, and shows what went wrong.
  const ceremony = (form, work) => {
    if (!form) return;
    const button = form.querySelector("button");
    const problem = document.querySelector("[data-problem]");
    if (!window.PublicKeyCredential) {
      if (problem) {
        problem.textContent = "This browser knows no passkeys, or the page is not on a secure address.";
        problem.hidden = false;
      }
      return;
    }
    button.disabled = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      if (problem) problem.hidden = true;
      try {
        await work(form);
      } catch (error) {
        const cancelled = error.name === "NotAllowedError";
        if (problem) {
          problem.textContent = cancelled ? "Nothing was signed: it was cancelled or took too long." : error.message;
          problem.hidden = false;
        }
        button.disabled = false;
      }
    });
  };

  const assertion = (found) => ({
    id: found.id,
    rawId: text(found.rawId),
    type: found.type,
    response: {
      authenticatorData: text(found.response.authenticatorData),
      clientDataJSON: text(found.response.clientDataJSON),
      signature: text(found.response.signature),
      userHandle: found.response.userHandle ? text(found.response.userHandle) : null,
    },
    extensions: {},
  });

  const register = async (begun) => {
    const options = begun.publicKey;
    options.challenge = bytes(options.challenge);
    options.user.id = bytes(options.user.id);
    for (const known of options.excludeCredentials || []) known.id = bytes(known.id);
    const made = await navigator.credentials.create({ publicKey: options });
    return {
      id: made.id,
      rawId: text(made.rawId),
      type: made.type,
      response: {
        attestationObject: text(made.response.attestationObject),
        clientDataJSON: text(made.response.clientDataJSON),
        transports: made.response.getTransports ? made.response.getTransports() : [],
      },
      extensions: {},
    };
  };

  ceremony(document.querySelector("[data-passkey-login]"), async (form) => {
    const begun = await send("/login/passkey/begin", {});
    const options = begun.publicKey;
    options.challenge = bytes(options.challenge);
    options.allowCredentials = [];
    const found = await navigator.credentials.get({ publicKey: options });
    const done = await send("/login/passkey/finish", { credential: assertion(found), next: form.dataset.next });
    location.replace(done.location);
  });

  ceremony(document.querySelector("[data-passkey-enrol]"), async (form) => {
    const path = location.pathname;
    const credential = await register(await send(`${path}/begin`, {}));
    const done = await send(`${path}/finish`, { credential, label: form.elements.label.value });
    location.replace(done.location);
  });

  ceremony(document.querySelector("[data-passkey-add]"), async (form) => {
    const csrf = form.dataset.csrf;
    const credential = await register(await send("/account/passkeys/begin", {}, csrf));
    const done = await send("/account/passkeys/finish", { credential, label: form.elements.label.value }, csrf);
    location.replace(done.location);
  });

  // What is signed is the digest of the grant that this page shows.
  const signing = document.querySelector("[data-sign]");
  ceremony(signing, async (form) => {
    const { sign, challenge, credentials, rp, csrf } = form.dataset;
    const found = await navigator.credentials.get({
      publicKey: {
        challenge: bytes(challenge),
        rpId: rp,
        allowCredentials: credentials.split(" ").map((id) => ({ type: "public-key", id: bytes(id) })),
        userVerification: "required",
        timeout: 300000,
      },
    });
    const done = await send(sign, { credential: assertion(found) }, csrf);
    location.replace(done.location);
  });

  // What a suggestion changes, as a JSON Merge Patch: what is the same is left
  // out, so that no number is written anew.
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const changes = (from, to) => {
    const patch = {};
    for (const [name, value] of Object.entries(to)) {
      if (JSON.stringify(from[name]) === JSON.stringify(value)) continue;
      patch[name] = isObject(value) && isObject(from[name]) ? changes(from[name], value) : value;
    }
    for (const name of Object.keys(from)) if (!(name in to)) patch[name] = null;
    return patch;
  };
  const suggestion = (field) => {
    let wanted;
    try {
      wanted = JSON.parse(field.value);
    } catch {
      throw new Error("The suggestion is not JSON.");
    }
    if (!isObject(wanted)) throw new Error("A suggestion is an object of arguments.");
    return changes(JSON.parse(field.defaultValue), wanted);
  };

  // What is signed is the digest over the call, or the stop, that this page shows
  // and the word on the button.
  for (const form of document.querySelectorAll("[data-decide]")) {
    ceremony(form, async () => {
      const { decide, verdict, challenge, credentials, rp, csrf, approvals, terms, expires } = form.dataset;
      const more = { approvals, terms, expires };
      if ("suggests" in form.dataset) more.suggestion = suggestion(form.elements.suggestion);
      if ("revokes" in form.dataset) more.revoke = true;
      const found = await navigator.credentials.get({
        publicKey: {
          challenge: bytes(challenge),
          rpId: rp,
          allowCredentials: credentials.split(" ").map((id) => ({ type: "public-key", id: bytes(id) })),
          userVerification: "required",
          timeout: 300000,
        },
      });
      const note = document.getElementById("note")?.value;
      const said = { credential: assertion(found), verdict, note, ...more };
      const done = await send(decide, said, csrf);
      location.replace(done.location);
    });
  }

  // Time left, in the viewer's own clock.
  const left = document.querySelector("[data-left]");
  if (left) {
    const end = new Date(left.dataset.left).getTime();
    const tell = () => {
      const seconds = Math.max(0, Math.round((end - Date.now()) / 1000));
      const parts = seconds >= 3600
        ? `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
        : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
      left.textContent = seconds > 0 ? `${parts} left` : "time is over";
      left.hidden = false;
    };
    tell();
    setInterval(tell, 1000);
  }

  // What changes by itself is read again when it did, unless somebody writes on
  // the page or signs: then it says so.
  const live = document.querySelector("[data-live]");
  const isBusy = () => {
    const written = (field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked;
    const fields = [...document.querySelectorAll("main textarea, main input:not([type=hidden])")];
    const signs = [...document.querySelectorAll("[data-decide] button")].some((b) => b.disabled);
    return fields.some(written) || signs;
  };
  if (live) {
    setInterval(async () => {
      if (document.hidden) return;
      const answer = await fetch(live.dataset.live, { redirect: "error" }).catch(() => null);
      const read = answer && answer.ok ? await answer.json().catch(() => null) : null;
      if (!read || read.mark === live.dataset.mark) return;
      const notice = document.querySelector("[data-live-notice]");
      if (isBusy() && notice) notice.hidden = false;
      else location.reload();
    }, 3000);
  }

  // Entries that come meanwhile: the server renders the list, which is put in the place of
  // the one that is shown, so that it is never longer than a page.
  const rows = document.querySelector("[data-live-rows]");
  if (rows) {
    const shown = document.querySelector("[data-live-list]");
    const told = rows.querySelector("[data-live-said]");
    const pause = rows.querySelector("[data-live-pause]");
    let paused = false;
    let asks = false;
    rows.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      pause.textContent = paused ? "Go on" : "Pause";
      told.textContent = paused ? "Paused: new entries do not appear." : "New entries appear here by themselves.";
    });
    const newest = (list) => [...list.querySelectorAll("tbody a")].map((link) => link.pathname);
    const follow = async () => {
      const asked = await fetch(rows.dataset.liveRows, { redirect: "error" });
      const read = asked.ok ? await asked.json() : null;
      if (!read || read.mark === rows.dataset.mark) return;
      const page = await fetch(location.href, { redirect: "error" });
      if (!page.ok) return;
      const text = new DOMParser().parseFromString(await page.text(), "text/html");
      const list = text.querySelector("[data-live-list]");
      const mark = text.querySelector("[data-live-rows]");
      if (!list || !mark || paused) return;
      const before = new Set(newest(shown));
      const fresh = newest(list).filter((path) => !before.has(path));
      for (const link of list.querySelectorAll("tbody a")) {
        if (fresh.includes(link.pathname)) link.closest("tr").classList.add("fresh");
      }
      localise(list);
      const focused = shown.contains(document.activeElement) ? document.activeElement.pathname : null;
      shown.replaceChildren(...list.childNodes);
      const again = focused && [...shown.querySelectorAll("a")].find((link) => link.pathname === focused);
      if (again) again.focus({ preventScroll: true });
      rows.dataset.mark = mark.dataset.mark;
      told.textContent = fresh.length === 1 ? "1 new entry." : `${fresh.length} new entries.`;
    };
    setInterval(async () => {
      if (document.hidden || paused || asks) return;
      asks = true;
      await follow().catch(() => null);
      asks = false;
    }, 3000);
  }

  // Somebody who unticked a tool must see the narrowed version first.
  const narrowing = document.getElementById("narrow");
  const elsewhere = document.querySelectorAll("[data-sign-at]");
  const button = signing && window.PublicKeyCredential ? signing.querySelector("button") : null;
  if (narrowing && (button || elsewhere.length > 0)) {
    const before = () => new URLSearchParams(new FormData(narrowing)).toString();
    const shown = before();
    const compare = () => {
      const changed = before() !== shown;
      const notice = document.querySelector("[data-changed]");
      if (notice) notice.hidden = !changed;
      if (button) button.disabled = changed;
      for (const link of elsewhere) link.hidden = changed;
      if (changed) narrowing.closest("details").open = true;
    };
    document.addEventListener("input", compare);
    addEventListener("pageshow", compare);
  }
})();
