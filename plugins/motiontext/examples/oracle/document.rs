//! Why the profile document differs from the browser.

const EMPTY: &str = "no empty line or gap before the first child of a group; wrap widths and paddings as documented";
const AFTER: &str = "channels are at rest outside of their window";
const LETTERS: &str = "fadein is as bright as documented";

/// The cause by scenario; `None` where the profiles agree but for boxes of groups that show nothing.
pub fn cause(name: &str) -> Option<&'static str> {
    Some(match name {
        "c_color_bounce_spin" => "mixes colours however they are written; channels are at rest outside of their window",
        "c_fadein_spin_rotatedlayout" => {
            "channels are at rest outside of their window; fadein is as bright as documented"
        }
        "c_glow_fadein" => "glow pulses unless told not to; fadein is as bright as documented",
        "c_group_chain" => "the chain of a group moves the group",
        "c_spin_then_pulse" => "pulse acts once; channels are at rest outside of their window",
        "c_basetime_plugin_over_node"
        | "c_layout_channel_dom"
        | "c_params_define"
        | "c_priority_ignored"
        | "c_spin_add_spin"
        | "c_spin_partial_persist"
        | "c_spin_replace_spin"
        | "c_two_windows_same_plugin"
        | "c_unknown_plugin"
        | "p_spin_alt" => AFTER,
        "e_editor_caption_effects_without_offset" => {
            "an effect without `timeOffset` has its own default window; gaps only between words"
        }
        "e_editor_caption_effects" => "the first letter of a word is opaque from the first instant of its window on",
        "l_transforms" => "transforms apply without a position",
        "l_anchors_subtitle_track" => "padding of the track's constraints only in groups",
        "l_text_styles" => "wrap width as documented",
        "p_bobY_alt" | "p_bobY_default" => "bobY acts once",
        "p_bobY_only_dom" | "p_pulse_only_dom" => "the half acts with its `cycles`",
        "p_pulse_alt" | "p_pulse_default" => "pulse acts once, with its `cycles`",
        "p_cwi-color_rgb_target" => "mixes colours however they are written",
        "p_cwi-color_speaker_without_palette" => "a speaker's colour comes from the scenario's palette too",
        "p_fadein_alt" | "p_fadein_default" | "p_fadein_one_char" => LETTERS,
        "p_flames_alt" | "p_flames_default" => "flames flicker `cycles` times",
        "p_glitch_default_hi" => "the shake of glitch shows",
        "p_glow_alt" | "p_glow_default" | "p_glow_pulse_default_cycles" => {
            "glow pulses unless told not to, `cycles` times"
        }
        "p_rotation_alt" | "p_rotation_default" | "p_rotation_default_hi" => "the text of rotation appears once",
        "p_typewriter_alt" | "p_typewriter_default" | "p_typewriter_nocursor" => {
            "typewriter counts seconds of its window"
        }
        "t_lifetime" => "a text without times shows for the life of its cue",
        "t_offset_keys" | "t_window_forms" => {
            "percent offsets count from the start; channels are at rest outside of their window"
        }
        "l_safe_clamp_groups" | "l_safe_clamp_sized_groups" | "l_safe_clamp_texts" => {
            "safeAreaClamp keeps the box inside"
        }
        "l_anchor_default_and_group_positions"
        | "l_box_styles"
        | "l_box_track_default"
        | "l_flow_h_justify_center"
        | "l_flow_h_justify_end"
        | "l_flow_h_justify_space-between"
        | "l_flow_h_justify_start"
        | "l_flow_h_wrap_free_track"
        | "l_flow_h_wrap_maxwidth40"
        | "l_flow_h_wrap_maxwidth60"
        | "l_flow_h_wrap_px"
        | "l_flow_h_wrap_subtitle_defaults"
        | "l_flow_h_wrap_x0_tl"
        | "l_flow_h_wrap_x25"
        | "l_flow_v_align_center"
        | "l_flow_v_align_end"
        | "l_flow_v_align_start"
        | "l_grid"
        | "l_grid_auto_width"
        | "l_grid_container_mode"
        | "l_layers_order"
        | "l_mode_flow_gaprel"
        | "l_mode_flow_gaprel_subtitle"
        | "l_nested_flow_in_flow"
        | "l_nested_positions"
        | "l_overflow_clip"
        | "l_stack" => EMPTY,
        _ => return None,
    })
}
