// Strangers and doubtful names, to be sorted: one key a decision, many at once.

import { get, post } from "/api.js";
import { decide, tell, undoNewest } from "/decisions.js";
import { NameDialog } from "/dialogs.js";
import { lookOf } from "/sighting_parts.js";
import { since } from "/times.js";
import { Empty, Failure, Link, go, html, percent, useEffect, useLoaded, useNews, useRef, useState } from "/ui.js";

const MOST = 48;
const KEYS = [
  ["← → ↑ ↓", "go to another one"],
  ["Enter", "see the sightings"],
  ["n", "say who it is"],
  ["y", "confirm the name"],
  ["x", "it is not this person"],
  ["i", "ignore: a stranger who gets no name"],
  ["space", "select, to decide for many at once"],
  ["m", "the selected strangers are one person"],
  ["u", "undo"],
];

const asStranger = (one) => ({
  key: `s${one.number}`,
  stranger: one.number,
  title: `Stranger ${one.number}`,
  facts: `seen ${one.sightings === 1 ? "once" : `${one.sightings} times`} · ${one.cameras.join(", ")}`,
  when: one.last,
  looks: one.looks,
  to: `/timeline?who=${encodeURIComponent(`Stranger ${one.number}`)}`,
});

const asDoubtful = (one) => ({
  key: one.id,
  sighting: one.id,
  name: one.name,
  title: `${one.name}?`,
  facts: `${percent(one.confidence)} sure · ${one.camera}`,
  when: one.begin,
  looks: one.looks.slice(0, 3).map((_, n) => lookOf(one, n)),
  to: `/timeline/${one.id}`,
});

function Card({ item, isSelected, isCurrent, act, onFocus }) {
  const card = useRef(null);
  useEffect(() => {
    if (isCurrent && document.activeElement !== card.current && !card.current.contains(document.activeElement)) card.current.focus();
  }, [isCurrent]);
  return html`<article class=${isSelected ? "card item chosen" : "card item"} tabindex="0" ref=${card} data-key=${item.key}
      aria-label=${`${item.title}, ${item.facts}`} onFocus=${onFocus}>
    <div class="strip">
      ${item.looks.length ? item.looks.map((look) => html`<img src=${look} alt="" loading="lazy" width="96" height="96" />`) : html`<span class="noface quiet">no picture</span>`}
    </div>
    <h2><label class="pick"><input type="checkbox" tabindex="-1" checked=${isSelected} onChange=${() => act("select", item)} aria-label=${`Select ${item.title}`} /></label>
      <${Link} to=${item.to} tabindex="-1">${item.title}<//></h2>
    <p class="quiet small">${item.facts}<br />last ${since(item.when)}</p>
    <div class="buttons">
      ${item.name && html`<button tabindex="-1" onClick=${() => act("confirm", item)} title="y">Yes</button>
        <button tabindex="-1" onClick=${() => act("not", item)} title="x">Not ${item.name}</button>`}
      <button tabindex="-1" onClick=${() => act("name", item)} title="n">This is…</button>
      ${!item.name && html`<button tabindex="-1" onClick=${() => act("ignore", item)} title="i">Ignore</button>`}
    </div>
  </article>`;
}

export default function Inbox({ path, who }) {
  const isDoubtful = path === "doubtful";
  const load = () => (isDoubtful ? get(`/api/sightings?doubtful=true&most=${MOST}`).then((page) => page.sightings.map(asDoubtful)) : get(`/api/strangers?most=${MOST}`).then((page) => page.strangers.map(asStranger)));
  const { value: items, error, again } = useLoaded(load, [isDoubtful]);
  const [selected, setSelected] = useState(new Set());
  const [current, setCurrent] = useState(null);
  const [asking, setAsking] = useState(null);
  const [failure, setFailure] = useState("");
  const list = useRef(null);
  useNews(again);
  useEffect(() => {
    addEventListener("decided", again);
    return () => removeEventListener("decided", again);
  }, [again]);
  useEffect(() => setSelected(new Set()), [isDoubtful]);
  if (!items) return html`<div class="page"><h1>Inbox</h1><${Failure} text=${error} /></div>`;
  const maySort = who.may !== "look";
  const chosen = items.filter((item) => selected.has(item.key));

  const of = (some) => ({ sightings: some.flatMap((one) => one.sighting ?? []), strangers: some.flatMap((one) => one.stranger ?? []) });
  const after = (some) => {
    const place = items.findIndex((item) => item.key === some[0].key);
    const rest = items.filter((item) => !some.includes(item));
    setSelected(new Set());
    setCurrent(rest[Math.min(Math.max(0, place), rest.length - 1)]?.key ?? null);
    again();
  };
  const send = async (some, decision, words) => {
    setFailure("");
    try {
      await decide({ ...of(some), ...decision }, words);
      after(some);
    } catch (failure) {
      setFailure(failure.message);
      throw failure;
    }
  };
  const merge = async (some) => {
    setFailure("");
    try {
      await post("/api/strangers/merge", { numbers: some.map((one) => one.stranger) });
      tell(`${some.map((one) => one.title).join(" and ")} are one person, and get one number within seconds`);
      setSelected(new Set());
    } catch (failure) {
      setFailure(failure.message);
    }
  };
  const confirm = async (some) => {
    for (const name of new Set(some.map((one) => one.name))) {
      const theirs = some.filter((one) => one.name === name);
      await send(theirs, { verdict: "name", name }, `It is ${name}`);
    }
  };
  const act = (what, item) => {
    if (what === "merge") return chosen.length > 1 && !isDoubtful && maySort && merge(chosen);
    const some = chosen.length && chosen.includes(item) ? chosen : [item];
    const them = some.length > 1 ? `${some.length} of them` : some[0].title.replace("?", "");
    const quietly = (sent) => sent.catch(() => {});
    if (what === "select") setSelected((before) => new Set(before.has(item.key) ? [...before].filter((key) => key !== item.key) : [...before, item.key]));
    else if (!maySort) setFailure("you may not: it needs sort");
    else if (what === "name") setAsking({ some, title: `Who is ${them.toLowerCase()}?` });
    else if (what === "confirm" && item.name) quietly(confirm(some));
    else if (what === "not" && item.name) quietly(send(some, { verdict: "not" }, `It is not ${item.name}`));
    else if (what === "ignore") quietly(send(some, { verdict: "ignore" }, `Ignored ${them.toLowerCase()}`));
  };
  const onKeyDown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || asking) return;
    const step = { ArrowRight: 1, ArrowLeft: -1, j: 1, k: -1, ArrowDown: columns(list.current), ArrowUp: -columns(list.current) }[event.key];
    const key = event.target.closest("[data-key]")?.dataset.key ?? current; // `current` is told a moment later
    const place = items.findIndex((item) => item.key === key);
    if (step) setCurrent(items[Math.min(items.length - 1, Math.max(0, place + step))]?.key);
    else if (event.key === "Enter" && event.target.dataset.key && place >= 0) go(items[place].to);
    else if (event.key === "u") undoNewest();
    else if (event.key === "m") act("merge");
    else {
      const what = { n: "name", y: "confirm", x: "not", i: "ignore", " ": "select" }[event.key];
      if (!what || place < 0) return;
      act(what, items[place]);
    }
    event.preventDefault();
  };
  const tab = (to, title, isHere) => html`<${Link} to=${to} aria-current=${isHere ? "page" : null}>${title}<//>`;
  return html`<div class="page">
    <h1>Inbox</h1>
    <nav class="tabs" aria-label="Inbox">${tab("/inbox", "Strangers", !isDoubtful)}${tab("/inbox/doubtful", "Doubtful names", isDoubtful)}</nav>
    <${Failure} text=${failure || error} />
    ${!items.length && (isDoubtful
      ? html`<${Empty} title="No doubtful name"><p>A name that jetstream gave without being sure comes here, to be confirmed or corrected. None is waiting.</p>
          <p><${Link} to="/timeline" class="button">See all sightings<//></p><//>`
      : html`<${Empty} title="No stranger">
          <p>Who is seen without a name comes here, a group of pictures for each person, to be named or ignored. Nobody is waiting.</p>
          <p><${Link} to="/live" class="button">See the cameras<//></p>
        <//>`)}
    <div class="cards inbox" ref=${list} onKeyDown=${onKeyDown}>
      ${items.map((item) => html`<${Card} key=${item.key} item=${item} act=${act} isSelected=${selected.has(item.key)} isCurrent=${current === item.key} onFocus=${() => setCurrent(item.key)} />`)}
    </div>
    ${items.length === MOST && html`<p class="quiet">The ${MOST} newest ones; more come when these are sorted.</p>`}
    ${items.length > 0 && html`<details class="hints"><summary>Keys</summary><dl class="facts">${KEYS.map(([key, what]) => html`<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`)}</dl></details>`}
    ${chosen.length > 0 && html`<div class="chosenbar" role="toolbar" aria-label="For the selected ones">
      <b class="grow">${chosen.length} selected</b>
      <button onClick=${() => act("name", chosen[0])}>This is…</button>
      ${isDoubtful ? html`<button onClick=${() => act("confirm", chosen[0])}>Yes</button><button onClick=${() => act("not", chosen[0])}>Not these people</button>` : html`<button onClick=${() => act("ignore", chosen[0])}>Ignore</button>`}
      ${!isDoubtful && chosen.length > 1 && html`<button onClick=${() => act("merge")}>They are one person</button>`}
      <button class="plain" onClick=${() => setSelected(new Set())}>Clear</button>
    </div>`}
    ${asking && html`<${NameDialog} title=${asking.title} onClose=${() => setAsking(null)}
      onName=${(name) => send(asking.some, { verdict: "name", name }, `It is ${name}`)} />`}
  </div>`;
}

/** How many cards are in a row. */
function columns(grid) {
  return getComputedStyle(grid).gridTemplateColumns.split(" ").length;
}
