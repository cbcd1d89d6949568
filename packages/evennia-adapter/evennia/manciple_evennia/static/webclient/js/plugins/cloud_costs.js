/*
 * Cloud costs: a pane of the webclient for texts of the type "costs".
 *
 * Load it after the other plugins, in the block guilib_import of the game's own webclient.html (see the README).
 */
let cloud_costs_plugin = (function () {
  // Beside the main pane, unless the player has arranged the panes already.
  const pane = {
    type: 'component',
    componentName: 'evennia',
    componentId: 'costs',
    width: 35,
    tooltip: 'Cloud costs - drag to desired position.',
    componentState: { cid: 'costs', types: 'costs', updateMethod: 'newlines' },
  }

  const addPane = function (config) {
    const row = config.content[0].content[0]
    if (row.type === 'row' && !row.content.some((one) => one.componentState && one.componentState.types === 'costs')) {
      row.content.push(pane)
    }
  }

  return {
    init: function () {},
    addPane: addPane,
  }
})()

if (typeof goldenlayout_config !== 'undefined') cloud_costs_plugin.addPane(goldenlayout_config)
plugin_handler.add('cloud_costs', cloud_costs_plugin)
