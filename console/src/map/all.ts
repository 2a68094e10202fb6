// The map and everything that stands on it, as one part that is loaded beside the page: the queue need not wait for it.
export { default as CityLayers } from './CityLayers.svelte'
export { default as Fleet } from './Fleet.svelte'
export { default as Incidents } from './Incidents.svelte'
export { default as Map } from './Map.svelte'
