// Each view in both languages, dark and light, on a desktop and on a phone; by keyboard; its weight.
import assert from 'node:assert/strict';

import {accessible, asUser, fitsItsWidth, kDesktop, kPhone, logIn, settled, shot, trial, withPage} from './browser.mjs';

const kViews = ['live', 'search', 'cameras', 'camera/CAM001', 'alerts', 'communication', 'statistics', 'statistics?by=camera', 'blacklist', 'config'];
const kLooks = {
  'desktop-dark-en': {...kDesktop, language: 'en'},
  'desktop-light-th': {...kDesktop, colorScheme: 'light', language: 'th'},
  'phone-dark-th': {...kPhone, language: 'th'},
  'phone-light-en': {...kPhone, colorScheme: 'light', language: 'en'},
};

async function lookAt(page, name) {
  await settled(page);
  assert.equal(await page.locator('.problem').count(), 0, `${name}: ${await page.locator('main').innerText()}`);
  await fitsItsWidth(page, name);
  await accessible(page, name);
  await shot(page, name);
}

async function newestDetection(page) {
  await page.goto(`${trial.url}/#/search`);
  await page.locator('.result').first().click();
  await page.locator('.whole img').waitFor();
}

async function looksWell(look) {
  const options = kLooks[look];
  await asUser('anna', '#/live', async (page) => {
    for (const view of kViews) {
      await page.goto(`${trial.url}/#/${view}`);
      await lookAt(page, `${look}-${view.replace(/\W/g, '-')}`);
    }
    await newestDetection(page);
    await lookAt(page, `${look}-detection`);
    assert.equal(await page.locator('html').getAttribute('data-bs-theme'), options.colorScheme);
    assert.equal(await page.locator('html').getAttribute('lang'), options.language);
  }, options);
}

export const eachViewLooksWellOnADarkDesktopInEnglish = () => looksWell('desktop-dark-en');
export const eachViewLooksWellOnALightDesktopInThai = () => looksWell('desktop-light-th');
export const eachViewLooksWellOnADarkPhoneInThai = () => looksWell('phone-dark-th');
export const eachViewLooksWellOnALightPhoneInEnglish = () => looksWell('phone-light-en');

export async function languageAndThemeAreChosenAndKept() {
  await asUser('vera', '#/live', async (page) => {
    await page.locator('.language').selectOption('th');
    await page.getByRole('heading', {name: 'สด', level: 1}).waitFor();
    await page.getByRole('button', {name: 'ธีม'}).click();  // As the system, then dark, then light.
    await page.getByRole('button', {name: 'ธีม'}).click();
    await page.reload();
    await page.getByRole('heading', {name: 'สด', level: 1}).waitFor();
    assert.equal(await page.locator('html').getAttribute('data-bs-theme'), 'light');
  });
}

export async function aPhoneReachesEveryViewByItsMenu() {
  await asUser('anna', '#/live', async (page) => {
    const more = page.locator('.phone-bar button');
    await more.tap();
    await page.locator('.phone-bar button[aria-expanded="true"]').waitFor();
    await page.locator('#menu a[href="#/statistics"]').tap();
    await page.getByRole('heading', {name: 'Statistics', level: 1}).waitFor();
    assert.equal(await page.locator('#menu').isVisible(), false, 'the menu closes');
    await more.tap();
    await page.locator('#menu a').first().waitFor();
    await page.keyboard.press('Escape');
    await page.locator('#menu').waitFor({state: 'hidden'});
  }, kPhone);
}

// What has the focus, and whether it can be seen.
const focused = (page) => page.evaluate(() => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  const shadow = style.boxShadow !== 'none';
  return {what: `${element.tagName} ${element.getAttribute('href') ?? element.id ?? ''}`, href: element.getAttribute('href'),
          shown: ring || shadow, seen: box.width > 0 && box.right > 0 && box.bottom > 0};
});

export async function everythingIsReachedByKeyboard() {
  await asUser('anna', '#/live', async (page) => {
    await page.reload();
    await settled(page);
    await page.keyboard.press('Tab');
    assert.equal((await focused(page)).href, '#content', 'the skip link is first');
    const reached = [];
    for (let at = 0; at < 16; at++) {
      await page.keyboard.press('Tab');
      const now = await focused(page);
      assert.ok(now.shown && now.seen, `focus cannot be seen on ${now.what}`);
      reached.push(now.href);
      if (now.href === '#/search') break;
    }
    assert.equal(reached.at(-1), '#/search', reached.join(' '));
    await page.keyboard.press('Enter');
    await page.getByRole('heading', {name: 'Search', level: 1}).waitFor();
    await page.waitForFunction(() => document.activeElement?.id === 'view-title');
    await page.keyboard.press('Tab');
    assert.equal((await focused(page)).what, 'INPUT plate', 'after the title comes the first field');
    await page.keyboard.type('1กข 12');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelectorAll('.result').length === 60 || document.querySelector('.view-tools')?.textContent.includes('60'));
    for (let at = 0; at < 40 && !(await focused(page)).href?.startsWith('#/detection'); at++) await page.keyboard.press('Tab');
    const first = (await focused(page)).href;
    await page.keyboard.press('ArrowDown');
    const second = (await focused(page)).href;
    assert.ok(second?.startsWith('#/detection') && second !== first, `${first} ${second}`);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', {name: 'Detection', level: 1}).waitFor();
  });
}

export async function skippingLeadsToTheContent() {
  await asUser('vera', '#/live', async (page) => {
    await page.reload();
    await settled(page);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'content');
  });
}

export async function thePageIsLight() {
  await withPage(kDesktop, async (page, context) => {
    const session = await context.newCDPSession(page);
    await session.send('Network.enable');
    let octets = 0;
    session.on('Network.loadingFinished', (loaded) => { octets += loaded.encodedDataLength; });
    await logIn(page, 'vera', '#/statistics');
    await page.locator('.chart canvas[data-drawn]').waitFor();
    console.log(`page and its data, compressed: ${Math.round(octets / 1024)} KiB`);
    assert.ok(octets > 20 * 1024 && octets < 600 * 1024, `${octets} octets`);
  });
}
