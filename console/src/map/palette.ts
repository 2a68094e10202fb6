// The colours of the map by day and by night. Canvas and GL cannot read CSS variables, so the status colours stand here a second time; palette.test.ts compares them.
import type { Status } from '../lib/status'

export interface Palette {
  land: string
  boundary: string
  settlement: string
  water: string
  waterLine: string
  waterLabel: string
  permitted: string
  permittedLine: string
  forbidden: string
  forbiddenLine: string
  roadMain: string
  roadLocal: string
  roadCase: string
  farm: string
  farmLine: string
  plant: string
  plantLine: string
  other: string
  otherLine: string
  label: string
  labelQuiet: string
  halo: string
  thing: string
  thingEdge: string
  stale: string
  track: string
  trackQuiet: string
  accent: string
  surface: string
  status: Record<Status, string>
}

export const PALETTES: Record<'light' | 'dark', Palette> = {
  light: {
    land: '#f1f0ec',
    boundary: '#a6a49c',
    settlement: '#e3e1da',
    water: '#c5d8e3',
    waterLine: '#a3bfcf',
    waterLabel: '#4a6f86',
    permitted: '#dfe8d3',
    permittedLine: '#b5c6a3',
    forbidden: '#9384a6',
    forbiddenLine: '#8a7a9e',
    roadMain: '#ffffff',
    roadLocal: '#fbfaf8',
    roadCase: '#d2cfc7',
    farm: '#dccdb3',
    farmLine: '#a38b62',
    plant: '#cbd1d9',
    plantLine: '#74808d',
    other: '#e4e2dc',
    otherLine: '#bdbab1',
    label: '#33373c',
    labelQuiet: '#6a6d70',
    halo: '#f6f5f2',
    thing: '#27323f',
    thingEdge: '#ffffff',
    stale: '#8b9097',
    track: '#27323f',
    trackQuiet: '#8d939b',
    accent: '#1c57a5',
    surface: '#ffffff',
    status: { critical: '#b3102b', high: '#ad4c00', medium: '#786000', low: '#4f6478', resolved: '#1a6e43' }
  },
  dark: {
    land: '#15181b',
    boundary: '#4b5158',
    settlement: '#1e2226',
    water: '#1b2d3a',
    waterLine: '#28414f',
    waterLabel: '#7fa4ba',
    permitted: '#1c2721',
    permittedLine: '#31463a',
    forbidden: '#6f6385',
    forbiddenLine: '#75698c',
    roadMain: '#3b424a',
    roadLocal: '#2b3036',
    roadCase: '#0e1012',
    farm: '#3b3324',
    farmLine: '#77653f',
    plant: '#2c333b',
    plantLine: '#5f6c79',
    other: '#20242a',
    otherLine: '#3a4149',
    label: '#c3c9d0',
    labelQuiet: '#8b939c',
    halo: '#121417',
    thing: '#dfe6ee',
    thingEdge: '#15181b',
    stale: '#737b85',
    track: '#dfe6ee',
    trackQuiet: '#7d8791',
    accent: '#8db9f6',
    surface: '#181b1e',
    status: { critical: '#ff7d88', high: '#ffa05a', medium: '#e6c552', low: '#a5b7ca', resolved: '#70cb9b' }
  }
}
