//! A queue of work on a device, with the memory that its work shares.

use super::features::{Purpose, SessionFeatures, StoredFeatures};
use crate::backend::arena::{Arena, Carver, Placement};
use crate::backend::stage::Stage;
use crate::backend::{Backend, Filter, StageTime};
use crate::error::{Error, Result};
use crate::media::frame::Frame;
use crate::model::Network;
use crate::model::image_encoder::{Acts, Features};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

/// The name of scratch memory in errors.
const SCRATCH: &str = "scratch of a predictor";

/// The common state of all predictors: a queue, the network, scratch memory, and the features of the current images.
pub(crate) struct Session<B: Backend> {
    /// The queue. It is the first field, so that it is dropped first: dropping it waits for work that uses the other
    /// fields.
    pub b: B,
    pub net: Arc<Network<B>>,
    /// Scratch memory of the image encoder, or of a later stage. The image encoder and later stages never run at once.
    pub scratch: Arena<B>,
    pub features: Arena<B>,
    pub stages: StageTimer,
    purpose: Purpose,
    place: Placement,
    /// The number of images that `features` has room for.
    capacity: usize,
    /// Recordings of the image encoder, by the index of the image in `features`.
    encoder: Stage<B, usize>,
}

impl<B: Backend> Session<B> {
    pub fn new(net: Arc<Network<B>>, b: B, purpose: Purpose, place: &Placement) -> Self {
        Session {
            b,
            net,
            scratch: Arena::new(place),
            features: Arena::new(place),
            stages: StageTimer::default(),
            purpose,
            place: place.clone(),
            capacity: 0,
            encoder: Stage::default(),
        }
    }

    /// Returns whether there is room for the features of `images` images.
    pub fn has_room(&self, images: usize) -> bool {
        images <= self.capacity
    }

    /// Makes room for the features of `images` images. If there was not enough room, the features of all images are
    /// lost.
    pub fn reserve_features(&mut self, images: usize) -> Result<()> {
        if !self.has_room(images) {
            self.capacity = 0;
            let net = &*self.net;
            self.features.reserve(&self.b, "features of images", |c| {
                Features::carve(c, &net.config, net.policy, images);
            })?;
            self.capacity = images;
        }
        Ok(())
    }

    /// Makes room in the scratch memory.
    pub fn reserve_scratch(&mut self, layout: impl FnOnce(&mut Carver<'_>)) -> Result<()> {
        self.scratch.reserve(&self.b, SCRATCH, layout)
    }

    /// Makes room for the image encoder's scratch tensors.
    pub fn reserve_encoder(&mut self) -> Result<()> {
        let net = self.net.clone();
        self.reserve_scratch(|c| _ = Acts::carve(c, &net.config, net.policy))
    }

    /// Returns the features of all images that there is room for, with a leading dimension.
    pub fn all_features(&self) -> Features<'_> {
        Features::carve(&mut self.features.carve(), &self.net.config, self.net.policy, self.capacity)
    }

    /// Fails if an image is in a GPU's memory and the model runs on the CPU.
    pub fn check_memory(&self, images: &[Frame<'_>]) -> Result<()> {
        match !self.b.takes_device_memory() && images.iter().any(Frame::is_device) {
            true => Err(on_the_cpu("image")),
            false => Ok(()),
        }
    }

    /// Encodes an image, whose memory was checked, to index `index` of the features, which has room. `staged` means
    /// that the device already has the image.
    ///
    /// The work is only enqueued. An error of the device is returned by the next wait.
    pub fn encode(&mut self, index: usize, image: &Frame<'_>, staged: bool) -> Result<()> {
        self.reserve_encoder()?;
        let (net, b, purpose) = (&*self.net, &self.b, self.purpose);
        self.scratch.poison(b);
        let acts = Acts::carve(&mut self.scratch.carve(), &net.config, net.policy);
        let all = Features::carve(&mut self.features.carve(), &net.config, net.policy, self.capacity);
        let features = all.of(index);
        let filter = match purpose {
            Purpose::Image => Filter::Bilinear,
            Purpose::Video => Filter::Bicubic,
        };
        let encoder = &mut self.encoder;
        self.stages.run(b, "image encoder", || {
            match staged {
                true => b.preprocess_staged(acts.image, image, filter),
                false => b.preprocess(acts.image, image, filter),
            }
            encoder.run(index, b, &[&self.scratch, &self.features], |b| {
                net.image_encoder.run(b, &acts, &features);
                if purpose == Purpose::Image {
                    if net.config.memory.directly_add_no_mem_embed {
                        b.add_vector(features.embed, features.embed, net.no_mem_embed.at());
                    }
                    b.probe("image_embed", features.embed);
                    b.probe("dense_pe", net.prompt_encoder.dense_position.at());
                }
            });
        });
        self.scratch.check(b)?;
        self.stages.check()?;
        b.failure()
    }

    /// Takes the features out of the session, which then has no room for features. The call waits for the device, so
    /// that another queue can use the features.
    pub fn take_features(&mut self) -> Result<StoredFeatures> {
        self.check_no_workspace()?;
        self.b.sync()?;
        let features = std::mem::replace(&mut self.features, Arena::new(&self.place));
        let (bytes, capacity) = (features.bytes(), std::mem::take(&mut self.capacity));
        let memory = Box::new(SessionFeatures { features, capacity });
        Ok(StoredFeatures { memory, bytes, network: self.net.id })
    }

    /// Replaces the session's features by features of the same network.
    pub fn set_features(&mut self, stored: StoredFeatures) -> Result<()> {
        self.check_no_workspace()?;
        let stored = stored.memory.downcast::<SessionFeatures<B>>();
        let stored = stored.map_err(|_| Error::Internal("features of another backend".into()))?;
        self.b.sync()?; // what is enqueued may use the features that are there
        (self.features, self.capacity) = (stored.features, stored.capacity);
        Ok(())
    }

    /// Fails if the features are in a caller's workspace. Features that are taken could outlive the workspace.
    fn check_no_workspace(&self) -> Result<()> {
        match self.place.workspace.is_some() {
            true => Err(Error::Input(
                "features cannot be taken from or given to a predictor that works in a workspace".into(),
            )),
            false => Ok(()),
        }
    }

    /// Returns the bytes of device memory that the session holds.
    pub fn bytes(&self) -> usize {
        self.scratch.bytes() + self.features.bytes()
    }
}

/// Returns the error for device memory that is given to a model on the CPU.
pub(crate) fn on_the_cpu(what: &str) -> Error {
    Error::input(format!("the {what} is in a GPU's memory, but the model runs on the CPU"))
}

/// Measures how long stages take, while measuring is on.
#[derive(Default)]
pub(crate) struct StageTimer {
    times: RefCell<Option<Vec<StageTime>>>,
    failure: RefCell<Option<Error>>,
}

impl StageTimer {
    /// Starts or stops measuring, and returns the measurements so far.
    pub fn switch(&self, on: bool) -> Vec<StageTime> {
        self.times.replace(on.then(Vec::new)).unwrap_or_default()
    }

    /// Returns whether stages are measured.
    pub fn is_on(&self) -> bool {
        self.times.borrow().is_some()
    }

    /// Runs the work of a stage. While stages are measured, no other work is on the device, and no recording may be in
    /// progress.
    pub fn run<B: Backend>(&self, b: &B, name: &'static str, work: impl FnOnce()) {
        if !self.is_on() {
            return work();
        }
        let wait = || b.sync().err().into_iter().for_each(|e| _ = self.failure.borrow_mut().get_or_insert(e));
        wait();
        let (before, start) = (b.counters(), Instant::now());
        work();
        wait();
        let (seconds, matmul_flops) = (start.elapsed().as_secs_f64(), (b.counters() - before).matmul_flops);
        let mut times = self.times.borrow_mut();
        let Some(times) = times.as_mut() else { return };
        match times.iter_mut().find(|s| s.name == name) {
            Some(s) => (s.seconds, s.matmul_flops) = (s.seconds + seconds, s.matmul_flops + matmul_flops),
            None => times.push(StageTime { name, seconds, matmul_flops }),
        }
    }

    /// Returns the first failure of a stage that was measured.
    pub fn check(&self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// Returns integers as the bytes of a tensor.
pub(crate) fn ints(values: &[i32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

/// Returns floats as the bytes of a tensor.
pub(crate) fn floats(values: &[f32]) -> &[u8] {
    bytemuck::cast_slice(values)
}
