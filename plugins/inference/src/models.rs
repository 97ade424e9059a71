//! The networks that are compiled in. Provenance, licences and layouts: `models/README.md`.

use crate::engine::ModelSource;

macro_rules! embedded {
    ($(#[$doc:meta])* $function:ident, $file:literal) => {
        $(#[$doc])*
        pub fn $function() -> ModelSource {
            #[cfg(feature = "embedded-models")]
            return ModelSource::Embedded($file, include_bytes!(concat!("../models/", $file)));
            #[cfg(not(feature = "embedded-models"))]
            return ModelSource::File(concat!("/usr/share/nunchi/models/", $file).into());
        }
    };
}

embedded!(
    /// BlazeFace short range: `image` \[1,3,128,128\] in -1..1 to `regressors` \[1,896,16\], `scores` \[1,896,1\].
    face_detector,
    "face_detection_short_range.onnx"
);
embedded!(
    /// Face mesh: `image` \[1,3,256,256\] in 0..1 to `landmarks` \[1,1,1,1434\], `presence_logit` \[1,1,1,1\].
    face_landmarks,
    "face_landmarks_478.onnx"
);
embedded!(
    /// Blendshapes: `points` \[1,146,2\] in image pixels to `blendshapes` \[52\].
    face_blendshapes,
    "face_blendshapes_52.onnx"
);
embedded!(
    /// Emotion: `image` \[1,1,64,64\] grey in -1..1 to `emotions` \[1,7\].
    face_emotion,
    "emotion_fer7_64.onnx"
);
embedded!(
    /// MoveNet Lightning: `image` \[1,3,192,192\] in -1..1 to `keypoints` \[1,1,17,3\].
    body_pose,
    "movenet_lightning_17.onnx"
);
embedded!(
    /// SSDLite on MobileNetV2, COCO: `image` \[1,3,300,300\] in -1..1 to `boxes` \[1,1917,4\], `scores` \[1,1917,90\], and the same
    /// as raw heads, `box_encodings` \[1,1917,4\], `class_logits` \[1,1917,91\].
    object_detector,
    "ssdlite_mobilenet_v2_coco.onnx"
);
