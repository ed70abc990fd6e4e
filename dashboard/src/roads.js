// Roads and the files on them, of this node or as another node has told of its own. What another
// node says was sent by a device: it is shown as text, and what is missing as a dash.
import {html, nothing} from 'lit-html';

import {bytes, dateTime, duration, milliseconds, number, percent} from './format.js';
import {bar, status, table} from './parts.js';
import {t} from './texts.js';

const shareCell = (share, name) => html`<div class="share-cell">${bar(share, `${name} ${percent(share)}`)}<span>${percent(share)}</span></div>`;
const roadName = (l) => html`<strong>${l.link}</strong> <span class="text-body-secondary">${l.plugin}</span>${
  l.metered ? html` <span class="tag">${t('communication.metered')}</span>` : nothing}`;

// `recent`: what went over them lately, in place of all since their node has started.
export function roadTable(caption, links, recent) {
  const share = (l) => (recent ? l.recent_share : l.share);
  return table(caption, [
    {title: t('communication.road'), cell: roadName},
    {title: t('field.status'), cell: (l) => status(l.state)},
    {title: t(recent ? 'communication.recent_share' : 'communication.share'), cell: (l) => shareCell(share(l), l.link)},
    ...(recent ? [] : [{title: t('communication.confirmed'), kind: 'numeric', cell: (l) => number(l.confirmed)}]),
    {title: t('communication.success'), kind: 'numeric', cell: (l) => percent(recent ? l.recent_success_rate : l.success_rate, 1)},
    {title: 'p50', kind: 'numeric', cell: (l) => milliseconds(l.latency_ms?.p50)},
    {title: 'p90', kind: 'numeric', cell: (l) => milliseconds(l.latency_ms?.p90)},
    {title: 'p99', kind: 'numeric', cell: (l) => milliseconds(l.latency_ms?.p99)},
    {title: t('communication.quality'), cell: (l) => (l.quality ? t(`quality.${l.quality}`) : '–')},
  ], links);
}

export const switchText = (s) => html`${s.from || '–'} → <strong>${s.to || '–'}</strong>`;
export const switchReason = (s) => html`${t(`switch.${s.reason}`)}${s.why ? html`<div class="small text-body-secondary">${s.why}</div>` : nothing}`;

export function fileTable(caption, files) {
  const share = (f) => (f.size ? f.sent / f.size : 0);
  return table(caption, [
    {title: t('field.file'), cell: (f) => html`<span class="file-name">${f.name}</span>`},
    {title: t('field.status'), cell: (f) => status(f.status)},
    {title: t('communication.progress'), cell: (f) => shareCell(share(f), f.name)},
    {title: t('field.size'), kind: 'numeric', cell: (f) => bytes(f.size)},
    {title: t('communication.road'), cell: (f) => f.road || '–'},
    {title: t('field.time'), cell: (f) => dateTime(f.updated_at)},
  ], files);
}

export const backlogFigures = (b) => html`<dl class="figures"><div><dt>${t('communication.waiting')}</dt><dd>${number(b.messages)}</dd></div>
  <div><dt>${t('communication.waiting_bytes')}</dt><dd>${bytes(b.bytes)}</dd></div>
  <div><dt>${t('communication.oldest')}</dt><dd>${b.messages ? duration(b.oldest_s) : '–'}</dd></div></dl>`;

const backlogLine = (b) => (b?.messages
  ? t('communication.waits', {n: number(b.messages), size: bytes(b.bytes), span: duration(b.oldest_s)})
  : t('communication.waits_nothing'));

function lastSwitch(switches) {
  const last = switches?.at(-1);
  if (!last) return nothing;
  return html`<div><dt>${t('communication.last_switch')}</dt><dd><div>${dateTime(last.at)}: ${switchText(last)}</div><div>${switchReason(last)}</div></dd></div>`;
}

// What a node has told of itself.
export const nodePanel = (node) => html`<section class="panel node-roads" data-node=${node.node_id}>
  <div class="node-head"><h3>${node.node_id}</h3>${status(node.status)}
    <span class="node-age">${node.old ? status('old') : nothing} ${t('communication.told', {span: duration(node.age_s)})}</span></div>
  ${node.links?.length ? roadTable(t('communication.roads_of', {node: node.node_id}), node.links, true) : nothing}
  <dl class="node-facts"><div><dt>${t('communication.backlog')}</dt><dd>${backlogLine(node.backlog)}</dd></div>${lastSwitch(node.switches)}</dl>
  ${node.files?.length ? fileTable(t('communication.files_of', {node: node.node_id}), node.files) : nothing}</section>`;
