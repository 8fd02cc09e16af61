//! Features of images and frames as objects, apart from the predictors that encode them.

use crate::arguments::{index, put};
use crate::error::{call, release, sam2_status};
use crate::exclusive::Exclusive;
use crate::handles::Table;
use crate::image_predictor::{PREDICTORS, sam2_image_predictor};
use crate::video_predictor::{VIDEOS, sam2_video_predictor};
use engine::{ImageFeatures, ImagePredictor};

static FEATURES: Table<Exclusive<ImageFeatures>> = Table::new("features", 7);

/// Features of the images of a predictor, or of a frame of a video.
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_features {
    _opaque: [u8; 0],
}

/// Takes the features of the current images out of an image predictor.
///
/// Blocks until the images are encoded. The predictor then has no images. The features keep the device memory that the
/// images were encoded to, and the predictor allocates other memory for its next images. So one predictor and the
/// features of many images need less memory than many predictors.
///
/// @param predictor The predictor. It must not work in a workspace.
/// @param out Receives the features, to be passed to sam2_image_predictor_set_features() or sam2_features_destroy().
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the predictor has no images or works in a workspace, SAM2_ERROR_BUSY
///         if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_take_features(
    predictor: *mut sam2_image_predictor,
    out: *mut *mut sam2_features,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe {
            put("out", out, || {
                FEATURES.reserve()?;
                let features = PREDICTORS.lease(predictor)?.run(ImagePredictor::take_features)?;
                Ok(FEATURES.insert(Exclusive::new(features))?)
            })
        }
    })
}

/// Makes the images of these features the current ones, without encoding them.
///
/// @param predictor A predictor of the model that made the features.
/// @param features The features. After SAM2_OK and after SAM2_ERROR_DEVICE the handle is no longer valid. After another
///                 status it remains valid.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT for features of another model or of a video frame and for a predictor in
///         a workspace, SAM2_ERROR_BUSY if the predictor or the features are in use, SAM2_ERROR_DEVICE if the GPU fails,
///         or a common status.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_image_predictor_set_features(
    predictor: *mut sam2_image_predictor,
    features: *mut sam2_features,
) -> sam2_status {
    call(|| {
        let mut p = PREDICTORS.lease(predictor)?;
        p.check_features(&*FEATURES.lease(features)?)?;
        Ok(p.set_features(FEATURES.take(features)?)?)
    })
}

/// Encodes a frame if it is not the current one, and takes its features out of a video predictor.
///
/// Blocks until the frame is encoded. A predictor and its forks keep the features of the frame that was encoded last:
/// the current frame. After sam2_video_predictor_set_features(), prompts on the frame need not encode it again.
///
/// @param video The predictor. It must not work in a workspace.
/// @param frame_idx The frame.
/// @param out Receives the features, to be passed to sam2_video_predictor_set_features() or sam2_features_destroy().
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if there is no such frame or the predictor works in a workspace,
///         SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_IO if the frame cannot be read, SAM2_ERROR_DEVICE if
///         the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_take_features(
    video: *mut sam2_video_predictor,
    frame_idx: u64,
    out: *mut *mut sam2_features,
) -> sam2_status {
    call(|| {
        let take = || {
            FEATURES.reserve()?;
            let features = VIDEOS.lease(video)?.run(|v| v.predictor.take_features(index(frame_idx)))?;
            Ok(FEATURES.insert(Exclusive::new(features))?)
        };
        // SAFETY: contract of callers.
        unsafe { put("out", out, take) }
    })
}

/// Makes the frame of these features the current one, without encoding it.
///
/// @param video The predictor that made the features, or a fork of it.
/// @param features The features. After SAM2_OK and after SAM2_ERROR_DEVICE the handle is no longer valid. After another
///                 status it remains valid.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT for features of another video, of an image, or of a frame that is no
///         longer kept, and for a predictor in a workspace, SAM2_ERROR_BUSY if the predictor or the features are in use,
///         SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_set_features(
    video: *mut sam2_video_predictor,
    features: *mut sam2_features,
) -> sam2_status {
    call(|| {
        let mut v = VIDEOS.lease(video)?;
        v.predictor.check_features(&*FEATURES.lease(features)?)?;
        Ok(v.predictor.set_features(FEATURES.take(features)?)?)
    })
}

/// Gets the size of features.
///
/// @param features The features.
/// @param bytes Receives the number of bytes of the device's memory.
/// @return SAM2_OK, SAM2_ERROR_BUSY if another thread uses the features, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_features_get_bytes(features: *const sam2_features, bytes: *mut u64) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe { put("bytes", bytes, || Ok(FEATURES.lease(features)?.bytes() as u64)) }
    })
}

/// Destroys features.
///
/// @param features The features.
/// @return SAM2_OK, SAM2_ERROR_BUSY if another thread uses the features, or SAM2_ERROR_INVALID_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_features_destroy(features: *mut sam2_features) -> sam2_status {
    release(|| Ok(FEATURES.destroy(features)?))
}
