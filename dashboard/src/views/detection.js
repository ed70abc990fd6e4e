// One detection: its picture, its crops, and what is known of it.
import {html, nothing} from 'lit-html';

import {dateTime, milliseconds} from '../format.js';
import {confidence, empty, heading, icon, picture, plate, problem, skeleton} from '../parts.js';
import {cameraLink, platesOf} from '../records.js';
import {t} from '../texts.js';
import {View} from '../view.js';
import {post} from '../api.js';

export class Detection extends View {
  record = null;
  listed = null;  // The plate that was just put on the blacklist.

  start() { this.#load(); }

  #load() {
    return this.attempt(async () => {
      const answer = await this.get(`/api/records/${encodeURIComponent(this.words[0] ?? '')}`);
      this.record = answer.record ?? answer;
    });
  }

  #fact(name, value) {
    return value === null || value === undefined || value === '' ? nothing : html`<dt>${name}</dt><dd>${value}</dd>`;
  }

  #block(text) {
    return this.attempt(async () => {
      await post('/api/blacklist', {license_plate: text, reason: ''});
      this.listed = text;
    });
  }

  #plate(p, at) {
    const add = this.app.session.may('operator') && p.text ? html`<button class="btn btn-sm btn-outline-danger"
      ?disabled=${this.listed === p.text} @click=${() => this.#block(p.text)}>${
        t(this.listed === p.text ? 'blacklist.added' : 'blacklist.add_plate')}</button>` : nothing;
    return html`<li class="crop"><div class="crop-picture">${p.image ? html`<a href=${p.image} target="_blank" rel="noopener">${
      picture(p.image, 640, t('detection.crop', {n: at + 1}))}</a>` : picture(null, 0, '')}</div>
      <div class="crop-text">${plate(p.text, 'plate-large')} ${confidence(p.confidence)}</div>
      <div class="crop-tools">${p.text ? html`<a class="btn btn-sm btn-outline-secondary" href="#/search?plate=${
        encodeURIComponent(p.text)}">${t('detection.others')}</a>` : nothing} ${add}</div></li>`;
  }

  #pending(record) {
    const waiting = (record.image_files ?? []).filter((file) => file.status === 'pending').length;
    return waiting ? html`<p class="text-body-secondary">${t('detection.pending', {n: waiting})}</p>` : nothing;
  }

  #facts(r) {
    return html`<dl class="facts">
      ${this.#fact(t('field.camera'), html`<a href=${cameraLink(r.camera_id)}>${r.camera_id}</a>`)}
      ${this.#fact(t('field.checkpoint'), r.checkpoint_id)}
      ${this.#fact(t('field.taken'), dateTime(r.timestamp))}
      ${this.#fact(t('field.stored'), dateTime(r.created_at))}
      ${this.#fact(t('field.vehicles'), r.vehicles_count)}
      ${this.#fact(t('field.protocol'), r.protocol)}
      ${this.#fact(t('field.processing'), r.processing_time_ms === null ? null : milliseconds(r.processing_time_ms))}
      ${this.#fact(t('field.note'), r.note)}
      ${this.#fact(t('field.id'), html`<code>${r.detection_id}</code>`)}</dl>`;
  }

  #content() {
    const r = this.record;
    if (!r) return this.error ? nothing : skeleton(1, 'picture');
    const plates = platesOf(r);
    return html`<div class="detection"><figure class="whole">${r.annotated_image
      ? html`<a href=${r.annotated_image} target="_blank" rel="noopener" title=${t('detection.whole')}><img src=${r.annotated_image}
          alt=${t('detection.picture', {camera: r.camera_id, time: dateTime(r.timestamp)})}></a>` : picture(null, 0, '')}
      ${this.#pending(r)}</figure>
      <section class="detection-side" aria-label=${t('detection.plates')}>
        ${plates.length ? html`<ul class="crops">${plates.map((p, at) => this.#plate(p, at))}</ul>` : html`<p>${t('plate.none')}</p>`}
        ${this.#facts(r)}</section></div>`;
  }

  render() {
    if (this.error?.status === 404) return html`${heading(t('detection.title'))}${empty(t('detection.gone'), t('detection.gone_what'),
        html`<a class="btn btn-primary" href="#/search">${t('nav.search')}</a>`)}`;
    const back = html`<button class="btn btn-sm btn-outline-secondary" @click=${() => history.back()}>${icon('back')} ${t('action.back')}</button>`;
    return html`${heading(t('detection.title'), back)}${problem(this.error, () => this.#load())}${this.#content()}`;
  }
}
